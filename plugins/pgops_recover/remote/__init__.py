"""Programs that run on the hosts of a cluster, shipped as text. Standard library only, Python 3.9 and later.

Patroni itself needs Python there. None of them imports another one, or pgops.
"""
