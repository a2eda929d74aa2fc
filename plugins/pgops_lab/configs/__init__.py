"""The configuration files of a lab's programs, each rendered from the lab as a value."""
