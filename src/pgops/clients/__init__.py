"""Third-party clients, each imported by exactly one module here, at first use."""
