"""The output formats of `pgops health`, a module each."""
