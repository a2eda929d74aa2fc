"""How to reach the DCS, REST and SQL, as a pgops.yml says it. What it does not say comes from `under`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pgops.config.endpoints import BadAddress, parse_host_port, parse_url
from pgops.config.local_files import LocalFiles
from pgops.config.model import DcsConfig, DcsKind, RestConfig, SqlConfig, TlsConfig
from pgops.config.nodes import Items, Node, Scalar
from pgops.config.section import Section, say_kind
from pgops.secrets import Secret

DEFAULT_PORTS = {DcsKind.ETCD: 2379, DcsKind.ETCD3: 2379, DcsKind.CONSUL: 8500, DcsKind.ZOOKEEPER: 2181}
"""Source: Patroni, patroni/ctl.py, DCS_DEFAULTS."""

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_THREE_WAYS = ("disable", "prefer", "require")


def read_dcs(section: Section | None, under: DcsConfig | None, files: LocalFiles) -> DcsConfig | None:
    """The DCS, or None where it is not said, or not rightly."""
    if section is None:
        return under
    kind_text = section.choice("kind", [kind.value for kind in DcsKind])
    kind = DcsKind(kind_text) if kind_text else under.kind if under else None
    tls = _read_tls(section, under.tls if under else TlsConfig(), files)
    encrypted = section.node("tls") is not None
    endpoints = _read_endpoints(section, kind or DcsKind.ETCD3, encrypted=encrypted)
    username, password = section.text("username"), files.secret(section)
    if section.node("endpoints") is None and under is None:
        section.faults.at(section.table, "endpoints is missing")
    if kind is None and section.node("kind") is None:
        section.faults.at(section.table, f"kind is missing; one of {', '.join(each.value for each in DcsKind)}")
    section.close()
    endpoints = endpoints or (under.endpoints if under else ())
    if kind is None or not endpoints:
        return None
    known = under or DcsConfig(kind, endpoints)
    login = _login(known, username, password)
    return DcsConfig(kind, endpoints, *login, tls)


def read_rest(section: Section | None, under: RestConfig | None, files: LocalFiles) -> RestConfig:
    """Patroni's REST API."""
    known = under or RestConfig()
    if section is None:
        return known
    tls = _read_tls(section, known.tls, files)
    username, password = section.text("username"), files.secret(section)
    section.close()
    return RestConfig(*_login(known, username, password), tls)


def _login(
    known: DcsConfig | RestConfig, username: str | None, password: Secret | None
) -> tuple[str | None, Secret | None]:
    """What is said wins; another user never gets the password of the one it replaces."""
    if username is not None and username != known.username:
        return username, password
    return known.username, password or known.password


def read_sql(section: Section | None, under: SqlConfig | None, files: LocalFiles) -> SqlConfig:
    """The SQL login. A user of its own never gets the password of the one it replaces."""
    known = under or SqlConfig()
    if section is None:
        return known
    user = section.text("user")
    if user is not None and user != known.user:
        known = replace(known, user=user, password=None, sslcert=None, sslkey=None, sslpassword=None)
    given: dict[str, Any] = {
        "password": files.secret(section),
        "dbname": section.text("dbname"),
        "sslmode": section.choice("sslmode", _SSL_MODES),
        "sslrootcert": _root_certificate(section, files),
        "sslpassword": section.secret("sslpassword"),
        "gssencmode": section.choice("gssencmode", _THREE_WAYS),
        "channel_binding": section.choice("channel_binding", _THREE_WAYS),
    }
    given |= {key: files.path(section, key) for key in ("sslcert", "sslkey", "sslcrl", "passfile")}
    section.close()
    return replace(known, **{key: value for key, value in given.items() if value is not None})


def _root_certificate(section: Section, files: LocalFiles) -> str | None:
    # `system` is libpq's own word for the machine's certificates; PostgreSQL docs, libpq-connect, sslrootcert
    text = section.text("sslrootcert")
    return text if text in (None, "system") else files.path(section, "sslrootcert")


def _read_tls(parent: Section, known: TlsConfig, files: LocalFiles) -> TlsConfig:
    section = parent.section("tls")
    if section is None:
        return known
    paths = {key: files.path(section, key) for key in ("ca_file", "cert_file", "key_file")}
    password, verify = section.secret("key_password"), section.boolean("verify")
    if paths["key_file"] and not (paths["cert_file"] or known.cert_file):
        section.faults.at(section.table.entries["key_file"], "a key without cert_file")
    section.close()
    changes: dict[str, Any] = {key: value for key, value in paths.items() if value is not None}
    if password is not None:
        changes["key_password"] = password
    if verify is not None:
        changes["verify"] = verify
    return replace(known, **changes)


def _read_endpoints(section: Section, kind: DcsKind, *, encrypted: bool) -> tuple[str, ...]:
    node = section.node("endpoints")
    if node is None:
        return ()
    items = node.values if isinstance(node, Items) else (node,)
    if not items:
        section.faults.at(node, "name at least one endpoint")
    urls = [_read_endpoint(item, section, kind, encrypted=encrypted) for item in items]
    return tuple(dict.fromkeys(url for url in urls if url is not None))


def _read_endpoint(node: Node, section: Section, kind: DcsKind, *, encrypted: bool) -> str | None:
    if not isinstance(node, Scalar) or node.kind != "str":
        section.faults.at(node, f"expected a URL or host:port, got {say_kind(node)}")
        return None
    try:
        return read_endpoint(node.text, kind, encrypted=encrypted)
    except BadAddress as error:
        section.faults.at(node, str(error))
        return None


def read_endpoint(text: str, kind: DcsKind, *, encrypted: bool) -> str:
    """The URL of one DCS endpoint. Raises `BadAddress`.

    ZooKeeper speaks no HTTP: its endpoints are `tcp://host:port`, or `tls://` where encrypted.
    """
    port = DEFAULT_PORTS[kind]
    schemes = ("tcp", "tls") if kind is DcsKind.ZOOKEEPER else ("http", "https")
    if "://" not in text:
        return parse_host_port(text, port).url(schemes[encrypted])
    if kind is DcsKind.ZOOKEEPER:
        raise BadAddress("a ZooKeeper endpoint is host:port")
    url = parse_url(text, port)
    if url.username is not None or url.password is not None:
        raise BadAddress("an endpoint must not hold a user name or password; there are keys for them")
    if url.path not in ("", "/"):
        raise BadAddress("an endpoint must end after the port")
    return url.address.url(schemes[0])
