"""A Patroni configuration, read as Patroni reads it: a file or a directory of files, PATRONI_* laid upon it.

Source: Patroni 4.1, patroni/config.py (_load_config_path, _build_effective_configuration), patroni/request.py,
patroni/ctl.py. A key that pgops does not need is not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pgops.config.file_text import FileText, is_directory, read_file, say_unreadable
from pgops.config.model import ClusterConfig, RestConfig, SqlConfig, TlsConfig
from pgops.config.nodes import Faults, Place, Table, descend, merge
from pgops.config.patroni_dcs import read_patroni_dcs
from pgops.config.patroni_environment import read_environment
from pgops.config.patroni_member import name_services, read_member
from pgops.config.permissions import warn_of_readers
from pgops.config.plain import truth_at, word_at
from pgops.config.stanza import find_stanza
from pgops.config.words import refuse_key_name, refuse_namespace
from pgops.config.yaml_source import parse
from pgops.errors import ConfigError
from pgops.render.text import printable
from pgops.secrets import Secret

_MOST_FILES = 100


def load_patroni(
    path: str, patroni_environ: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[ClusterConfig, list[str]]:
    """The cluster that the file or directory at `path` describes, and warnings. Raises `ConfigError`.

    `patroni_environ` gives the PATRONI_* variables that are laid upon it (empty: none).
    """
    faults = Faults()
    files = [(file, parse(file.content, printable(file.path), faults)) for file in read_files(path)]
    faults.raise_any(printable(path))
    for file, node in files:
        if not isinstance(node, Table):
            faults.add(Place(printable(file.path), 1), "", "a Patroni configuration is a mapping")
    faults.raise_any(printable(path))
    return read_patroni(
        [(file, node) for file, node in files if isinstance(node, Table)], path, patroni_environ, environ
    )


def read_files(path: str) -> list[FileText]:
    """The file, or every *.yml and *.yaml of the directory in alphabetical order. Raises `ConfigError`."""
    if not is_directory(path):
        return [read_file(path)]
    try:
        paths = sorted(
            str(each) for each in Path(path).iterdir() if each.suffix in (".yml", ".yaml") and each.is_file()
        )
    except PermissionError:
        raise say_unreadable(path) from None
    except OSError as error:
        raise ConfigError("the configuration cannot be read", where=printable(path), why=error.strerror) from None
    if not paths or len(paths) > _MOST_FILES:
        why = f"{len(paths)} files *.yml in this directory" if paths else "no file *.yml in this directory"
        raise ConfigError("the configuration cannot be read", where=printable(path), why=why)
    return [read_file(each) for each in paths]


def read_patroni(
    files: list[tuple[FileText, Table]],
    path: str | None,
    patroni_environ: Mapping[str, str],
    environ: Mapping[str, str],
) -> tuple[ClusterConfig, list[str]]:
    """The cluster that these parsed files describe together. `path` None: there is no file, only the environment."""
    warnings = [warning for file, table in files if (warning := warn_of_readers(table, file))]
    source = printable(path) if path else "PATRONI_* variables"
    table = Table({}, {}, Place(source, 1 if path else 0), "")
    for _, each in files:
        table = merge(table, each, null_removes=True)
    table = merge(table, read_environment(patroni_environ))
    table = Table(table.entries, table.key_places, Place(source, 1 if path else 0), "")
    return build_cluster(table, path, source, environ, warnings), warnings


def build_cluster(
    table: Table, path: str | None, source: str, environ: Mapping[str, str], warnings: list[str]
) -> ClusterConfig:
    """The cluster that this merged tree describes. Raises `ConfigError` with every fault, or what is not served."""
    faults = Faults()
    _refuse_citus(table)
    scope, namespace = _read_names(table, faults)
    dcs = read_patroni_dcs(table, source, faults, warnings)
    stanza, pgbackrest_config = find_stanza(table)
    absolute = os.path.abspath(path) if path else None  # noqa: PTH100 - keeps symlinks
    member = read_member(table, absolute, pgbackrest_config, faults)
    faults.raise_any(source)
    assert dcs is not None  # noqa: S101 - else there were faults
    return ClusterConfig(
        name=scope,
        scope=scope,
        dcs=dcs,
        namespace=namespace,
        rest=_read_rest(table),
        sql=_read_sql(table, environ),
        hosts=(member,) if member else (),
        services=name_services(absolute),
        stanza=stanza,
        patroni_file=absolute,
    )


def _read_names(table: Table, faults: Faults) -> tuple[str, str]:
    scope = word_at(table, "scope")
    reason = refuse_key_name(scope) if scope else "missing; Patroni's name of the cluster"
    if reason:
        faults.add(getattr(table.entries.get("scope"), "place", table.place), "scope", reason)
    namespace = (word_at(table, "namespace") or "service").strip("/")
    if namespace and (reason := refuse_namespace(namespace)):
        faults.add(table.entries["namespace"].place, "namespace", reason)
    return scope or "", namespace


def _refuse_citus(table: Table) -> None:
    if isinstance(descend(table, "citus"), Table):
        raise ConfigError(
            "Patroni with Citus is not served",
            where=str(table.key_places["citus"]),
            why="the section citus: one scope with several clusters in it",
            next_step="use patronictl there",
        )


def _read_rest(table: Table) -> RestConfig:
    """As patronictl asks: `ctl` before `restapi`. Source: Patroni, patroni/request.py, HTTPSConnectionPool settings."""
    login = descend(table, "ctl", "authentication") or descend(table, "restapi", "authentication")
    password, key_password = word_at(login, "password"), word_at(table, "ctl", "keyfile_password")
    return RestConfig(
        word_at(login, "username"),
        Secret(password) if password else None,
        TlsConfig(
            ca_file=word_at(table, "ctl", "cacert") or word_at(table, "restapi", "cafile"),
            cert_file=word_at(table, "ctl", "certfile"),
            key_file=word_at(table, "ctl", "keyfile"),
            key_password=Secret(key_password) if key_password else None,
            verify=truth_at(table, "ctl", "insecure") is not True,
        ),
    )


def _read_sql(table: Table, environ: Mapping[str, str]) -> SqlConfig:
    """The superuser's login. Without a name it is libpq's PGUSER, else `postgres`, who owns Debian's clusters.

    Without a password libpq looks for its own (PGPASSFILE, ~/.pgpass). Old files have the login right under postgresql.
    """
    postgresql = descend(table, "postgresql")
    login = descend(postgresql, "authentication", "superuser") or descend(postgresql, "superuser")
    login = login or descend(postgresql, "pg_rewind")
    password, key_password = word_at(login, "password"), word_at(login, "sslpassword")
    names = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "gssencmode", "channel_binding")
    return SqlConfig(
        user=word_at(login, "username") or (None if environ.get("PGUSER") else "postgres"),
        password=Secret(password) if password else None,
        sslpassword=Secret(key_password) if key_password else None,
        **{name: word_at(login, name) for name in names},  # type: ignore[arg-type]
    )
