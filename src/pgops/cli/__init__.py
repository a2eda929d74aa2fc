"""The command line: the root group, the plugin commands below it, and the one place that maps errors to exits."""
