"""The DCS section of a Patroni configuration.

Source: Patroni 4.1, patroni/dcs/etcd.py (get_etcd_client), consul.py, zookeeper.py: `url` wins over `hosts`, `hosts` over
`host`; `proxy` over all; `srv` is asked first. A user and password count as Patroni counts them: a `url` brings its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from pgops.config.connection_sections import DEFAULT_PORTS, read_endpoint
from pgops.config.endpoints import Address, BadAddress, parse_host_port, parse_port, parse_url
from pgops.config.model import DcsConfig, DcsKind, TlsConfig
from pgops.config.nodes import Faults, Items, Node, Scalar, Table, descend
from pgops.config.plain import truth_at, word_at
from pgops.errors import ConfigError
from pgops.secrets import Secret

_IN_PATRONIS_ORDER = ("consul", "etcd", "etcd3", "exhibitor", "kubernetes", "raft", "zookeeper")
_NOT_SERVED = {
    "exhibitor": "Patroni on Exhibitor is not served",
    "kubernetes": "Patroni on Kubernetes is not served",
    "raft": "Patroni's own raft is not served",
}


_SRV_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class _Login:
    username: str | None
    password: Secret | None


def read_patroni_dcs(table: Table, source: str, faults: Faults, warnings: list[str]) -> DcsConfig | None:
    """The DCS that Patroni would take. None: there are faults. Raises `ConfigError` for one that is not served."""
    present = [name for name in _IN_PATRONIS_ORDER if name in table.entries]
    if descend(table, "zookeeper", "exhibitor") is not None:
        present = ["exhibitor"]
    if not present:
        faults.add(table.place, "", "names no DCS (etcd3, etcd, consul, zookeeper)")
        return None
    name = present[0]
    if name in _NOT_SERVED:
        place = table.key_places.get(name, table.place)
        raise ConfigError(
            _NOT_SERVED[name], where=str(place), why=f"the section {name}:", next_step="use patronictl there"
        )
    if len(present) > 1:
        warnings.append(f"{source} has several DCS sections ({', '.join(present)}); as Patroni does, {name} is taken")
    section = table.entries[name]
    if not isinstance(section, Table):
        faults.at(section, "expected a mapping")
        return None
    kind = DcsKind(name)
    endpoints, login = _read_addresses(section, kind, faults)
    if not endpoints:
        if not faults:
            faults.at(section, "names no hosts")
        return None
    return DcsConfig(kind, endpoints, login.username, login.password, _read_tls(section, kind))


def _read_tls(section: Table, kind: DcsKind) -> TlsConfig:
    password = word_at(section, "key_password") if kind is DcsKind.ZOOKEEPER else None
    verify = truth_at(section, "verify")
    return TlsConfig(
        ca_file=word_at(section, "cacert"),
        cert_file=word_at(section, "cert"),
        key_file=word_at(section, "key"),
        key_password=Secret(password) if password else None,
        verify=verify is not False,
    )


def _read_addresses(section: Table, kind: DcsKind, faults: Faults) -> tuple[tuple[str, ...], _Login]:
    password = word_at(section, "token" if kind is DcsKind.CONSUL else "password")
    login = _Login(word_at(section, "username"), Secret(password) if password else None)
    if kind in (DcsKind.ETCD, DcsKind.ETCD3):
        url = descend(section, "proxy") or descend(section, "url")
        if url is not None:
            return _read_url(url, kind, faults)
        found = _from_srv(section)
        if found:
            return found, login
    elif kind is DcsKind.CONSUL and descend(section, "url") is not None:
        endpoints, _ = _read_url(descend(section, "url"), kind, faults)
        return endpoints, login
    return _read_hosts(section, kind, faults), login


def _read_url(node: Node | None, kind: DcsKind, faults: Faults) -> tuple[tuple[str, ...], _Login]:
    if not isinstance(node, Scalar):
        if node is not None:
            faults.at(node, "expected a URL")
        return (), _Login(None, None)
    try:
        url = parse_url(node.text, DEFAULT_PORTS[kind])
    except BadAddress as error:
        faults.at(node, str(error))
        return (), _Login(None, None)
    password = Secret(url.password) if url.password else None
    return (url.address.url("http"),), _Login(url.username, password)


def _read_hosts(section: Table, kind: DcsKind, faults: Faults) -> tuple[str, ...]:
    keys = ("host",) if kind is DcsKind.CONSUL else ("hosts", "host")
    node = next((found for key in keys if (found := descend(section, key)) is not None), None)
    if node is None and kind is DcsKind.CONSUL:
        return (Address("127.0.0.1", DEFAULT_PORTS[kind]).url(_scheme(section, kind)),)
    listed: list[Node] = []
    for each in node.values if isinstance(node, Items) else (node,) if node is not None else ():
        if isinstance(each, Scalar) and each.kind == "str":
            listed += [
                Scalar(text.strip(), "str", each.place, each.path) for text in each.text.split(",") if text.strip()
            ]
        else:
            faults.at(each, "expected host:port, or a list of them")
    port = _default_port(section, kind, faults)
    urls = [_read_host(each, kind, port, _scheme(section, kind), faults) for each in listed]
    return tuple(dict.fromkeys(url for url in urls if url is not None))


def _read_host(node: Node, kind: DcsKind, port: int, scheme: str, faults: Faults) -> str | None:
    assert isinstance(node, Scalar)  # noqa: S101 - made just above
    try:
        if "://" in node.text:
            return read_endpoint(node.text, kind, encrypted=False)
        return parse_host_port(node.text, port).url(scheme)
    except BadAddress as error:
        faults.at(node, str(error))
        return None


def _default_port(section: Table, kind: DcsKind, faults: Faults) -> int:
    node = descend(section, "port")
    if node is None:
        return DEFAULT_PORTS[kind]
    try:
        return parse_port(node.text if isinstance(node, Scalar) else "")
    except BadAddress as error:
        faults.at(node, str(error))
        return DEFAULT_PORTS[kind]


def _scheme(section: Table, kind: DcsKind) -> str:
    if kind is DcsKind.ZOOKEEPER:
        return "tls" if truth_at(section, "use_ssl") else "tcp"
    word = word_at(section, "scheme" if kind is DcsKind.CONSUL else "protocol")
    return "https" if word == "https" else "http"


def _from_srv(section: Table) -> tuple[str, ...]:
    """The client records, TLS first, as Patroni asks; hosts beside `srv` serve where there are none.

    The last resort of Patroni, the peer records (`_etcd-server`), is not followed: they do not name client URLs.
    """
    key = next((key for key in ("srv", "discovery_srv", "srv_domain") if word_at(section, key)), None)
    if key is None:
        return ()
    domain, suffix = word_at(section, key), word_at(section, "srv_suffix")
    from pgops.config import srv

    tail = f"-{suffix}" if suffix else ""
    names = [f"_etcd{middle}{tail}._tcp.{domain}" for middle in ("-client-ssl", "-client", "-ssl", "")]
    try:
        found = srv.look_up(names, srv.name_servers(), _SRV_TIMEOUT_S)
        why = f"there is none of _etcd-client-ssl{tail}, _etcd-client{tail} (._tcp) in that domain"
    except srv.SrvFault as fault:
        found, why = {}, str(fault)
    for name in names:
        if found.get(name):
            scheme = "https" if "-ssl" in name else "http"
            return tuple(Address(target.host, target.port).url(scheme) for target in found[name])
    if descend(section, "hosts") is None and descend(section, "host") is None:
        raise ConfigError(
            "the DNS SRV records of etcd cannot be had",
            where=str(section.entries[key].place),
            why=why,
            next_step="list the etcd hosts under endpoints: in a pgops.yml",
        )
    return ()
