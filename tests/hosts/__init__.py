"""Tests on whole systemd hosts, reached over SSH as in production."""
