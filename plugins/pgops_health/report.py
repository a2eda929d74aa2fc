"""Judges a snapshot: runs the checks over it and sorts what they found, worst first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgops.checks import Check, Finding, Verdict, unknown
from pgops.errors import PgopsError
from pgops.observe.snapshot import QUICK, USUAL, Snapshot, View


@dataclass(frozen=True)
class Judged:
    """One finding and the check that made it."""

    check: str
    finding: Finding


@dataclass(frozen=True)
class Report:
    """One cluster's health. `judged` is sorted worst first; skipped findings are last and do not count."""

    snapshot: Snapshot
    judged: tuple[Judged, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst finding's verdict: critical, unknown, warning, ok. Nothing to judge is unknown."""
        counted = [item.finding.verdict for item in self.judged if item.finding.verdict is not Verdict.SKIPPED]
        return min(counted, key=lambda verdict: verdict.rank, default=Verdict.UNKNOWN)

    def of(self, verdict: Verdict) -> tuple[Judged, ...]:
        """The findings with this verdict."""
        return tuple(item for item in self.judged if item.finding.verdict is verdict)


def select(checks: Sequence[Check], names: Sequence[str], *, quick: bool, deep: bool) -> list[Check]:
    """The checks to run. Raises `PgopsError` for a name that no check has."""
    if names:
        known_names = {check.name for check in checks}
        for name in names:
            if name not in known_names:
                raise _no_such_check(name, sorted(known_names))
        chosen = [check for check in checks if check.name in names]
        # A check that is asked for by name gets what it needs, --deep or not.
        return [check for check in chosen if check.runs_with(QUICK)] if quick else chosen
    views = QUICK if quick else USUAL | {View.DEEP} if deep else USUAL
    return [check for check in checks if check.runs_with(views)]


def views_of(checks: Iterable[Check], *, quick: bool) -> frozenset[View]:
    """What has to be read for these checks. The DCS and REST always are: they say which members there are."""
    views = frozenset(view for check in checks for view in check.views) | QUICK
    return QUICK if quick else views


def judge(snapshot: Snapshot, checks: Sequence[Check], broken: Sequence[Finding] = ()) -> Report:
    """Run the checks. One that raises is a bug of its plugin and says so; it does not hide the others."""
    judged = [Judged("plugins", finding) for finding in broken]
    order = {check.name: place for place, check in enumerate(checks)}
    for check in checks:
        try:
            judged += [Judged(check.name, finding) for finding in check.find(snapshot)]
        except Exception as error:  # one faulty check must not take health down
            text = f"this check itself failed: {type(error).__name__}: {error}"
            judged.append(Judged(check.name, unknown(text, next_step="report it to the author of its plugin")))
    judged.sort(key=lambda item: (item.finding.verdict.rank, order.get(item.check, -1)))
    return Report(snapshot, tuple(judged))


def worst_verdict(reports: Sequence[Report]) -> Verdict:
    """The worst cluster's verdict; worst first is critical, unknown, warning, ok."""
    return min((report.verdict for report in reports), key=lambda verdict: verdict.rank, default=Verdict.UNKNOWN)


def exit_code(reports: Sequence[Report]) -> int:
    """Nagios's code of the worst cluster."""
    return worst_verdict(reports).exit_code


def _no_such_check(name: str, names: list[str]) -> PgopsError:
    import difflib

    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return PgopsError(f"no check is named {name!r}", why=f"{hint}there are: {', '.join(names)}")
