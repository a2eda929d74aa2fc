"""The direction of imports, and who may import what (DESIGN: Shape)."""

from __future__ import annotations

import pytest

from unit.architecture.sources import files, imports, module_name

LAYERS = (
    {"errors", "readings", "secrets", "plugin", "render"},
    {"config", "builtin"},
    {"clients", "hosts", "plugins"},
    {"dcs", "services", "pgbackrest"},
    {"observe"},
    {"checks", "plan"},
    {"checklist"},
    {"steps"},
    {"engine"},
    {"cli"},
    {"testing"},
    {"__main__"},
)
"""The core, lowest first: a package imports only from its own layer's own package, and from layers below."""

ONE_IMPORTER = {
    "httpx": {"pgops.clients.http"},
    "psycopg": {"pgops.clients.sql"},
    "etcd3": {"pgops.dcs.etcd3_channel"},
    "grpc": {"pgops.dcs.etcd3_channel"},
    "tabulate": {"pgops.render.table"},
    "subprocess": {"pgops.hosts.process"},
    # One reads configurations, the other writes `health -f yaml`.
    "yaml": {"pgops.config.yaml_source", "pgops_health.formats.yaml_text"},
}

PURE = (
    "pgops.errors",
    "pgops.readings",
    "pgops.secrets",
    "pgops.plugin",
    "pgops.checks",
    "pgops.config.model",
    "pgops.pgbackrest.commands",
    "pgops.pgbackrest.exit_codes",
    "pgops.pgbackrest.meanings",
    "pgops.pgbackrest.statuses",
    "pgops.observe.facts",
    "pgops.observe.branch_facts",
    "pgops.observe.guard_facts",
    "pgops.observe.salvage_facts",
    "pgops.observe.snapshot",
    "pgops.observe.lsn",
    "pgops.observe.fields",
    "pgops.observe.keys",
    "pgops.plan.actions",
    "pgops.plan.documents",
    "pgops.plan.plan",
    "pgops.plan.premises",
    "pgops.plan.step",
    "pgops_backup.answers",
    "pgops_backup.archiving",
    "pgops_backup.backing_up",
    "pgops_backup.chains",
    "pgops_backup.checking",
    "pgops_backup.estimates",
    "pgops_backup.expiring",
    "pgops_backup.going",
    "pgops_backup.job_steps",
    "pgops_backup.jobs",
    "pgops_backup.listing",
    "pgops_backup.moments",
    "pgops_backup.need",
    "pgops_backup.reaches",
    "pgops_backup.removing",
    "pgops_backup.replay",
    "pgops_backup.seeing",
    "pgops.observe.timelines",
    "pgops_backup.walks",
    "pgops_backup.windows",
    "pgops_drill.aims",
    "pgops_drill.assertions",
    "pgops_drill.checks",
    "pgops_drill.clearing",
    "pgops_drill.jobs",
    "pgops_drill.measures",
    "pgops_drill.recording",
    "pgops_drill.restoring",
    "pgops_drill.results",
    "pgops_drill.scripts",
    "pgops_drill.stages",
    "pgops_pause.evidence",
    "pgops_pause.pausing",
    "pgops_pause.recording",
    "pgops_pause.records",
    "pgops_pause.resuming",
    "pgops.steps.holds",
    "pgops.steps.switching",
    "pgops_recover.applications",
    "pgops_recover.applying",
    "pgops_recover.comparison_text",
    "pgops_recover.copies_text",
    "pgops_recover.copy_text",
    "pgops_recover.diagnosing",
    "pgops_recover.diagnosis_text",
    "pgops_recover.discarding",
    "pgops.observe.forks",
    "pgops_recover.incident",
    "pgops_recover.losing",
    "pgops_recover.recovering",
    "pgops_recover.salvaging",
    "pgops.observe.records",
)
"""Values and pure functions; the health checks are as pure."""

WORLDLY = {"click", "httpx", "psycopg", "etcd3", "grpc", "tabulate", "yaml", "subprocess", "time", "socket", "os"}


def test_the_core_knows_no_plugin() -> None:
    plugins = {module_name(path).partition(".")[0] for path in files()} - {"pgops"}
    assert {"pgops_health", "pgops_lab"} <= plugins
    wrong = [each for each in imports() if each.importer.startswith("pgops.") and each.package in plugins]
    assert wrong == []


def test_no_plugin_knows_another() -> None:
    wrong = [
        each
        for each in imports()
        if each.package.startswith("pgops_") and each.package != each.importer.partition(".")[0]
    ]
    assert wrong == []


def test_layers() -> None:
    level = {f"pgops.{name}": number for number, names in enumerate(LAYERS) for name in names}
    packages = {".".join(module_name(path).split(".")[:2]) for path in files() if module_name(path)[:6] == "pgops."}
    assert packages == set(level)
    for each in imports():
        above, below = (".".join(name.split(".")[:2]) for name in (each.importer, each.module))
        if above in level and below in level and above != below:
            assert level[below] < level[above], f"{each.importer} imports {each.module}"


@pytest.mark.parametrize(("package", "importers"), ONE_IMPORTER.items())
def test_one_importer(package: str, importers: set[str]) -> None:
    found = [each for each in imports() if each.package == package]
    assert {each.importer for each in found} == importers
    early = [each for each in found if not each.late and not each.typing]
    assert early == [], "imported at first use, not at start"


def test_click_belongs_to_commands() -> None:
    importers = {each.importer for each in imports() if each.package == "click"}
    commands = {name for name in importers if name.startswith("pgops.cli.") or name.endswith("command")}
    assert importers == commands


def test_values_and_checks_are_pure() -> None:
    checks = [module_name(path) for path in files() if "/pgops_health/checks/" in str(path)]
    assert len(checks) > 5
    known = {module_name(path) for path in files()}
    assert set(PURE) <= known
    wrong = [each for each in imports() if each.importer in {*PURE, *checks} and each.package in WORLDLY]
    assert wrong == []


def test_what_every_start_imports_is_light() -> None:
    """The modules that hold a `Plugin` are read at every start, `--help` and TAB included."""
    doors = {"pgops_health", "pgops_lab", "pgops.builtin", "pgops.plugin"}
    light = {"__future__", "pgops.plugin", "collections.abc", "dataclasses", "typing"}
    wrong = [each for each in imports() if each.importer in doors and each.module not in light]
    assert wrong == []


def test_files_stay_small() -> None:
    lengths = {module_name(path): len(path.read_text("utf-8").splitlines()) for path in files()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
    assert sorted(lengths.values())[len(lengths) // 2] <= 130
