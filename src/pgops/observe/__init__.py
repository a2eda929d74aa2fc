"""Observation: one frozen snapshot of the cluster, made by probes that only read."""
