"""Boots whole Debian hosts on this machine and puts a Patroni cluster on them, as its administrator would."""
