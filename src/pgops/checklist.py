"""The health checks that plugins give, for `pgops health` and for procedures that must not go on against a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pgops import plugins
from pgops.checks import Check, Finding, Verdict, unknown
from pgops.observe.snapshot import Snapshot


def all_checks() -> tuple[list[Check], list[Finding]]:
    """Every check that plugins give, and a finding for each plugin whose checks cannot be loaded."""
    checks: list[Check] = []
    broken: list[Finding] = []
    for plugin in plugins.usable():
        if plugin.checks is None:
            continue
        try:
            given = plugins.resolve(plugin.checks)
            checks += [check for check in given if isinstance(check, Check)]  # type: ignore[attr-defined] # a plugin's own
        except Exception as error:  # a stranger's module may raise anything
            text = f"the checks of plugin {plugin.name} cannot be loaded: {type(error).__name__}: {error}"
            broken.append(unknown(text, next_step="pgops plugins list"))
    return checks, broken


def find_critical(snapshot: Snapshot, names: Iterable[str]) -> Iterator[Finding]:
    """The critical findings of the checks of these names. A check that raises is itself one: it cannot be passed."""
    wanted = set(names)
    for check in all_checks()[0]:
        if check.name not in wanted:
            continue
        try:
            found = list(check.find(snapshot))
        except Exception as error:  # a plugin's check may raise anything
            found = [Finding(Verdict.CRITICAL, f"the check {check.name} failed: {type(error).__name__}")]
        yield from (item for item in found if item.verdict is Verdict.CRITICAL)
