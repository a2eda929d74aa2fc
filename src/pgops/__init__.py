"""pgops: admin CLI for PostgreSQL clusters kept by Patroni."""

__version__ = "0.1.0"
