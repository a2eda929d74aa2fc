"""The registry of incidents, and what stands before any of them is caused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgops.errors import ConfigError, PgopsError, Refused
from pgops_lab import incidents, record
from pgops_lab.incidents.incident import Caused, Incident, Scene
from pgops_lab.lab import Lab
from unit.lab.samples import sample

PROMISED = {
    *("split-brain", "same-timeline", "leader-crash", "replica-behind", "replica-broken", "etcd-member"),
    *("etcd-nospace", "dcs-lost", "archive-failing", "archive-off", "signal-left", "disk-full", "paused"),
    *("backup-old", "haproxy-stale"),
}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("PGOPS_LAB_HOME", str(tmp_path))
    lab = sample(tmp_path)
    lab.directory.mkdir(parents=True)
    return lab


def _register(monkeypatch: pytest.MonkeyPatch, fault: Exception | None) -> None:
    def cause(scene: Scene) -> Caused:
        if fault is not None:
            raise fault
        return Caused("it is broken", "n2", {"member": "n2"})

    monkeypatch.setitem(incidents.INCIDENTS, "sample", Incident("sample", "a sample", "nothing", cause))


def _tell(text: str) -> None:
    """Nobody listens."""


def test_every_promised_incident_is_there_and_listed() -> None:
    assert set(incidents.INCIDENTS) >= PROMISED
    listing = incidents.render_list()
    for incident in incidents.INCIDENTS.values():
        assert f"{incident.name}\n    {incident.summary}\n    see: {incident.look_at}" in listing


def test_an_unknown_incident_is_a_usage_fault(lab: Lab) -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        incidents.break_incident(lab, "nonsense", tell=_tell)


def test_what_needs_root_is_skipped_without(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Refused) as caught:
        incidents.break_incident(lab, "disk-full", tell=_tell)
    assert "needs root" in str(caught.value)
    assert record.read(lab) == ()


def test_a_small_lab_cannot_have_every_incident(tmp_path: Path) -> None:
    assert "needs 3 members" in (incidents.refusal(sample(tmp_path, size=2), incidents.find("same-timeline")) or "")


def test_what_was_caused_is_on_record_and_not_caused_twice(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    _register(monkeypatch, None)
    told = incidents.break_incident(lab, "sample", tell=_tell)
    assert told.startswith("it is broken\nlook at: nothing")
    (entry,) = record.read(lab)
    assert (entry.incident, entry.member, entry.facts) == ("sample", "n2", {"member": "n2"})
    with pytest.raises(Refused) as caught:
        incidents.break_incident(lab, "sample", tell=_tell)
    assert "there already" in str(caught.value)


def test_one_cut_off_midway_stays_on_record(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    _register(monkeypatch, PgopsError("waited in vain"))
    with pytest.raises(PgopsError, match="in vain"):
        incidents.break_incident(lab, "sample", tell=_tell)
    assert [entry.incident for entry in record.read(lab)] == ["sample"]


def test_one_refused_before_anything_was_done_does_not(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    _register(monkeypatch, Refused("there is no leader"))
    with pytest.raises(Refused):
        incidents.break_incident(lab, "sample", tell=_tell)
    assert record.read(lab) == ()


def test_mending_what_is_not_broken_is_refused(lab: Lab) -> None:
    with pytest.raises(Refused, match="not on record"):
        incidents.mend(lab, "paused", tell=_tell)
