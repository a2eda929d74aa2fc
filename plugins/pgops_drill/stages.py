"""The stages of a drill: each is a job of its own on the node, whose name tells the run, with its literal command line."""

from __future__ import annotations

from datetime import timezone

from pgops.hosts.remote.program_paths import program_in
from pgops.plan.step import Params
from pgops_drill import scripts
from pgops_drill.aims import Aim, target_of
from pgops_drill.assertions import split_statements

PREPARE, RESTORE, POSTGRES, REPLAY, LOOK = "prepare", "restore", "postgres", "replay", "look"
AMCHECK, ASSERTIONS, DUMP, STOP, CHECKSUMS, REMOVE = "amcheck", "assertions", "dump", "stop", "checksums", "remove"

STAGES = (RESTORE, POSTGRES, REPLAY, LOOK, AMCHECK, ASSERTIONS, DUMP, STOP, CHECKSUMS, REMOVE, PREPARE)
"""Every stage; their accounts are forgotten in this order, so that the last one to go says that something was made."""

BASIC = (PREPARE, RESTORE, REPLAY)
"""Without these, in this order, the others have nothing to work on."""

AMCHECK_SINCE = 140000
"""The first server version that has pg_amcheck. Source: PostgreSQL 14 release notes."""

PREFIX = "drill-"
_GENTLY = ("nice", "-n", "19", "ionice", "-c", "3")
_SHARED_BUFFERS = "128MB"
_STOP_S = 3600


def job_name(run_id: str, stage: str) -> str:
    """The once-only name of a stage's job."""
    return f"{PREFIX}{run_id}-{stage}"


def stage_argv(aim: Aim, params: Params, stage: str) -> tuple[str, ...]:
    """The command line of a stage."""
    return {
        PREPARE: _prepare,
        RESTORE: _restore,
        POSTGRES: _postgres,
        REPLAY: _replay,
        LOOK: _look,
        AMCHECK: _amcheck,
        ASSERTIONS: _assertions,
        DUMP: _dump,
        STOP: _stop,
        CHECKSUMS: _checksums,
        REMOVE: _remove,
    }[stage](aim, params)


def assertions_path(aim: Aim) -> str:
    """Where the SQL assertions are written to on the node."""
    return f"{aim.scratch}/assertions.sql"


def _script(text: str, *arguments: str) -> tuple[str, ...]:
    return ("sh", "-c", text, "pgops-drill", *arguments)


def _private(aim: Aim, params: Params) -> tuple[str, ...]:
    """How a client finds the drill's server, and no other."""
    return ("-h", f"{aim.scratch}/run", "-p", str(params["port"]), "-U", str(params["superuser"]), "-w")


def _psql(aim: Aim, params: Params) -> tuple[str, ...]:
    return (program_in(aim.host.bin_dir, "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", *_private(aim, params))


def _prepare(aim: Aim, _params: Params) -> tuple[str, ...]:
    names = ("postgres", "pg_ctl", "pg_controldata", "pg_checksums", "pg_dumpall", "psql")
    programs = ("pgbackrest", "nice", "ionice", *(program_in(aim.host.bin_dir, name) for name in names))
    config = aim.host.pgbackrest_config or "-"
    need = str(aim.need_bytes)
    return _script(scripts.PREPARE, aim.scratch, aim.data_dir, config, aim.stanza, need, aim.run_id, *programs)


def _restore(aim: Aim, params: Params) -> tuple[str, ...]:
    from pgops.pgbackrest.commands import Stanza, restore_argv

    target = target_of(params)
    timeline = params.get("timeline")
    to_end = bool(params.get("to_end"))
    kind = "time" if target else "default" if to_end else "immediate"
    words = restore_argv(
        Stanza(aim.stanza, f"{aim.scratch}/pgbackrest.conf"),
        backup_set=aim.backup.label,
        repo=aim.backup.repo_key,
        target_type=kind,
        target=target.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f+00") if target else None,
        target_timeline=str(timeline) if timeline is not None else None,
        target_action=None if to_end else "promote",
        archive_mode_off=True,
        tablespace_map_all=f"{aim.scratch}/ts",
    )
    return (*_GENTLY, *words)


def _postgres(aim: Aim, params: Params) -> tuple[str, ...]:
    """Not one setting of production's own files counts; those of postgresql.auto.conf that could do harm are overruled.

    hot_standby is off: nothing is asked before the promotion, and WAL in which production raised a limit must not end it.
    """
    scratch = aim.scratch
    settings = {
        "config_file": f"{scratch}/postgresql.conf",
        "hba_file": f"{scratch}/pg_hba.conf",
        "ident_file": f"{scratch}/pg_ident.conf",
        "external_pid_file": f"{scratch}/run/postgres.pid",
        "listen_addresses": "",
        "port": str(params["port"]),
        "unix_socket_directories": f"{scratch}/run",
        "unix_socket_permissions": "0700",
        "archive_mode": "off",
        "archive_command": "",
        "primary_conninfo": "",
        "primary_slot_name": "",
        "synchronous_standby_names": "",
        "recovery_min_apply_delay": "0",
        "recovery_end_command": "",
        "archive_cleanup_command": "",
        "hot_standby": "off",
        "shared_preload_libraries": str(params.get("preload") or ""),
        "session_preload_libraries": "",
        "local_preload_libraries": "",
        "cluster_name": "pgops_drill",
        "max_logical_replication_workers": "0",
        "shared_buffers": _SHARED_BUFFERS,
        "huge_pages": "off",
        "ssl": "off",
        "autovacuum": "off",
        "logging_collector": "on",
        "log_destination": "stderr",
        "log_directory": f"{scratch}/log",
        "log_filename": "postgres.log",
        "log_rotation_age": "0",
        "log_rotation_size": "0",
        "log_line_prefix": "%m [%p] ",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    server = (program_in(aim.host.bin_dir, "postgres"), "-D", f"{scratch}/data", *options)
    return _script(scripts.START, f"{scratch}/data", program_in(aim.host.bin_dir, "pg_controldata"), *_GENTLY, *server)


def _replay(aim: Aim, params: Params) -> tuple[str, ...]:
    return _script(scripts.REPLAY, f"{aim.scratch}/data", f"{aim.scratch}/log/postgres.log", *_psql(aim, params))


def _look(aim: Aim, params: Params) -> tuple[str, ...]:
    return _script(scripts.LOOK, *_psql(aim, params))


def _amcheck(aim: Aim, params: Params) -> tuple[str, ...]:
    program = program_in(aim.host.bin_dir, "pg_amcheck")
    return (*_GENTLY, program, "--all", "--heapallindexed", "--install-missing", *_private(aim, params))


def _assertions(aim: Aim, params: Params) -> tuple[str, ...]:
    count = len(split_statements(str(params["assertions"])))
    return _script(scripts.ASSERT, aim.scratch, str(count), str(params["database"]), *_psql(aim, params))


def _dump(aim: Aim, params: Params) -> tuple[str, ...]:
    return (
        *_GENTLY,
        program_in(aim.host.bin_dir, "pg_dumpall"),
        "--schema-only",
        "--no-sync",
        "--file=/dev/null",
        *_private(aim, params),
    )


def _stop(aim: Aim, _params: Params) -> tuple[str, ...]:
    program = program_in(aim.host.bin_dir, "pg_ctl")
    return (program, "-D", f"{aim.scratch}/data", "-m", "fast", "-w", "-t", str(_STOP_S), "stop")


def _checksums(aim: Aim, _params: Params) -> tuple[str, ...]:
    return (*_GENTLY, program_in(aim.host.bin_dir, "pg_checksums"), "--check", "-D", f"{aim.scratch}/data")


def _remove(aim: Aim, _params: Params) -> tuple[str, ...]:
    return _script(scripts.REMOVE, aim.scratch, aim.run_id)
