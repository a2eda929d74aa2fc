"""Patroni's PATRONI_* variables as a tree that is laid upon its file.

Source: Patroni 4.1, patroni/config.py, Config._build_environment_configuration; only what pgops reads is taken.
"""

from __future__ import annotations

from collections.abc import Mapping

from pgops.config.nodes import Faults, Items, Node, Place, Scalar, Table, descend
from pgops.config.yaml_source import parse

PREFIX = "PATRONI_"
_LOGIN = ("username", "password")
_SQL_LOGIN = (
    *_LOGIN,
    "sslmode",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslrootcert",
    "sslcrl",
    "gssencmode",
    "channel_binding",
)
_SECTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    (): ("name", "namespace", "scope"),
    ("restapi",): ("listen", "connect_address", "certfile", "keyfile", "keyfile_password", "cafile"),
    ("ctl",): ("insecure", "cacert", "certfile", "keyfile", "keyfile_password"),
    ("postgresql",): ("listen", "connect_address", "data_dir", "bin_dir"),
}
_DCS = ("consul", "etcd", "etcd3", "exhibitor", "kubernetes", "zookeeper")
_DCS_KEYS = (
    *("host", "hosts", "port", "protocol", "srv", "srv_suffix", "url", "proxy", "cacert", "cert", "key", "verify"),
    *("token", "use_ssl", "key_password", "namespace", "labels", "scope_label", "use_endpoints", "pod_ip"),
)


def read_environment(environ: Mapping[str, str]) -> Table:
    """The tree of what is set. An empty variable counts as not set, as in Patroni."""
    root = _Tree(environ)
    for keys, names in _SECTIONS.items():
        for name in names:
            root.take(keys, name, "_".join((*keys, name)))
    for name in _LOGIN:
        for section in ("ctl", "restapi"):
            root.take((section, "authentication"), name, f"{section}_{name}")
    for name in _SQL_LOGIN:
        root.take(("postgresql", "authentication", "superuser"), name, f"superuser_{name}")
    for dcs in _DCS:
        for key in _DCS_KEYS:
            root.take((dcs,), key, f"{dcs}_{key}")
    for dcs in ("etcd", "etcd3"):
        # Patroni looks at these two only where another variable of the same section is set
        if descend(root.table, dcs) is not None:
            for name in _LOGIN:
                root.take((dcs,), name, f"{dcs}_{name}")
    for name in ("data_dir", "self_addr", "partner_addrs", "bind_addr"):
        root.take(("raft",), name, f"raft_{name}")
    root.take(("citus",), "group", "citus_group")
    root.take(("citus",), "database", "citus_database")
    return root.table


def read_configuration_variable(environ: Mapping[str, str], faults: Faults) -> Node | None:
    """The YAML text in PATRONI_CONFIGURATION, which Patroni takes where it has no file."""
    text = environ.get(f"{PREFIX}CONFIGURATION")
    return parse(text.encode(), f"{PREFIX}CONFIGURATION", faults) if text else None


class _Tree:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.table = _empty("")

    def take(self, keys: tuple[str, ...], name: str, variable: str) -> None:
        """Put the variable's value, when set, under these keys."""
        variable = PREFIX + variable.upper()
        text = self._environ.get(variable)
        if not text:
            return
        table = self.table
        for depth, key in enumerate(keys):
            below = table.entries.get(key)
            if not isinstance(below, Table):
                below = table.entries[key] = _empty(".".join(keys[: depth + 1]))
                table.key_places[key] = below.place
            table = below
        place, path = Place(variable, 0), ".".join((*keys, name))
        table.entries[name] = _listed(text, place, path) if name == "hosts" else Scalar(text, "str", place, path)
        table.key_places[name] = place


def _listed(text: str, place: Place, path: str) -> Node:
    """`a:1,b:2`, with quotes or as a YAML list. Patroni drops what is not YAML; IPv6 in brackets is not."""
    unlisted = not (text.strip().startswith("-") or "[" in text)
    node = parse((f"[{text}]" if unlisted else text).encode(), place.source, Faults())
    if isinstance(node, Items) and all(isinstance(value, Scalar) for value in node.values):
        texts = [value.text for value in node.values if isinstance(value, Scalar)]
    else:
        texts = text.split(",")
    return Items(tuple(Scalar(each.strip(), "str", place, path) for each in texts), place, path)


def _empty(path: str) -> Table:
    return Table({}, {}, Place("the environment", 0), path)
