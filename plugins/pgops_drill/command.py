"""`pgops drill`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from pgops.cli.acting import Choices, act, acting_options
from pgops.errors import Refused

_REMOTE_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.$-]{0,62}"


@click.group("drill")
def drill() -> None:
    """Prove a backup by restoring it to a scratch directory."""


@drill.command("restore")
@click.option("--node", metavar="NODE", help="Where. Default: a replica with enough room.")
@click.option("--set", "label", metavar="LABEL", help="Which backup. Default: the newest good one.")
@click.option("--repo", metavar="N", type=click.IntRange(1, 256), help="From which repository. Default: any.")
@click.option(
    "--target",
    metavar="TIME",
    help="Replay to this time, ISO 8601 with its zone. Default: until the backup is consistent.",
)
@click.option("--to-end", is_flag=True, help="Replay all WAL that is archived.")
@click.option("--timeline", metavar="N", type=click.IntRange(1), help="Follow this timeline.")
@click.option("--scratch", metavar="DIR", help="Under which directory there. Default: see scratch_dir in pgops.yml.")
@click.option("--port", type=click.IntRange(1, 65535), default=5432, show_default=True, help="Only names the socket.")
@click.option(
    "--check-sql",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="SQL statements of which each must give one row with the value true.",
)
@click.option("--database", metavar="NAME", default="postgres", show_default=True, help="Where they are asked.")
@click.option("--superuser", metavar="NAME", default="postgres", show_default=True, help="The cluster's superuser.")
@click.option("--preload", metavar="LIST", help="shared_preload_libraries of the drill. Default: none.")
@click.option("--keep", is_flag=True, help="Leave the scratch directory, with the server stopped.")
@acting_options
@click.pass_context
def restore(
    ctx: click.Context,
    choices: Choices,
    node: str | None,
    label: str | None,
    repo: int | None,
    target: str | None,
    to_end: bool,
    timeline: int | None,
    scratch: str | None,
    port: int,
    check_sql: str | None,
    database: str,
    superuser: str,
    preload: str | None,
    keep: bool,
) -> int:
    """Restore a backup to a scratch directory, start it privately, and prove that it is whole.

    Proven by pg_amcheck, SQL assertions, a dump of all schemas and pg_checksums. Production's spool, locks and archive are
    not touched. The outcome is remembered, and `pgops health` tells when a restore was proven last and how long it took.
    Exit code 1: the backup is not what it should be.
    """
    if target is not None and to_end:
        raise click.UsageError("--target and --to-end exclude each other.")
    if timeline is not None and target is None and not to_end:
        raise click.UsageError(
            "--timeline needs --target or --to-end: until it is consistent a backup follows its own."
        )
    params = {
        "node": node,
        "set": None if label is None else _word("--set", label, r"[0-9FDI_-]{10,40}"),
        "repo": repo,
        "target": None if target is None else _moment(target).isoformat(),
        "to_end": to_end,
        "timeline": timeline,
        "scratch": None if scratch is None else _place(scratch),
        "port": port,
        "assertions": None if check_sql is None else _read_assertions(check_sql),
        "database": _word("--database", database, r"[^\x00-\x1f]{1,63}"),
        "superuser": _word("--superuser", superuser, _REMOTE_NAME),
        "preload": None if preload is None else _word("--preload", preload, r"[A-Za-z0-9_$/., -]{1,500}"),
        "keep": keep,
    }
    return act(ctx, "drill-restore", params, choices)


def _word(option: str, value: str, pattern: str) -> str:
    import re

    if not re.fullmatch(pattern, value):
        raise click.UsageError(f"{option}: {value[:80]!r} is none.")
    return value


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise click.UsageError("--target is no ISO 8601 time, as in 2026-11-22T20:58:00+00:00.") from None
    if moment.tzinfo is None:
        raise click.UsageError("--target has no zone; add one, as in 2026-11-22T20:58:00+00:00.")
    return moment


def _place(value: str) -> str:
    path = Path(value)
    if not path.is_absolute() or ".." in path.parts or not value.isprintable() or str(path) == "/":
        raise click.UsageError("--scratch is no absolute path of a directory.")
    return str(path)


def _read_assertions(file: str) -> str:
    from pgops_drill.assertions import MOST_BYTES, AssertionFault, split_statements

    try:
        content = Path(file).read_bytes()
        text = content.decode()
        if len(content) > MOST_BYTES:
            raise AssertionFault(f"it has more than {MOST_BYTES // 1024} KiB")
        if not split_statements(text):
            raise AssertionFault("it has no statement")
    except (OSError, UnicodeDecodeError, AssertionFault) as fault:
        raise Refused("the SQL assertions cannot be taken", where=file, why=str(fault)) from None
    return text
