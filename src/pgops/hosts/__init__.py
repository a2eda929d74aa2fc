"""Hosts: where commands run. Local, or over OpenSSH."""
