"""What is told once a recovery ended well: a deep look and a backup, whose faults are no fault of the recovery."""

from __future__ import annotations

import click
import pytest

from pgops.cli.acting import Choices
from pgops.errors import Refused
from pgops.testing.fake_cluster import fake_config
from pgops_recover.command import _follow_up


def followed(*, health: int, quiet: bool, refused: bool = False, stanza: str | None = "demo") -> list[str]:
    """The words with which the backup was asked for."""
    asked: list[str] = []

    @click.command(context_settings={"ignore_unknown_options": True})
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def look(words: tuple[str, ...]) -> int:
        click.echo(f"health {' '.join(words)}")
        return health

    @click.command(context_settings={"ignore_unknown_options": True})
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def back_up(words: tuple[str, ...]) -> int:
        asked.extend(words)
        if refused:
            raise Refused("no room", why="the disk is full", next_step="df -h")
        return 0

    root = click.Group("pgops", commands={"health": look, "backup": back_up})
    with root.make_context("pgops", ["health"]) as ctx:
        _follow_up(ctx, Choices(None, quiet=quiet), fake_config(("n1", "n2"), stanza=stanza), "n2", backup=True)
    return asked


@pytest.mark.parametrize(
    ("health", "quiet", "told"), [(0, False, True), (2, False, True), (0, True, False), (1, True, True)]
)
def test_quiet_is_told_of_what_is_wrong_alone(
    health: int, quiet: bool, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = followed(health=health, quiet=quiet)
    said = capsys.readouterr()
    assert said.out == ("health --deep --cluster demo\n" if told else "")
    assert asked[:5] == ["--type", "full", "--no-expire", "--node", "n2"] and ("-q" in asked) is quiet
    assert bool(said.err) is not quiet


def test_a_refused_backup_is_told_with_the_command_that_makes_it(capsys: pytest.CaptureFixture[str]) -> None:
    followed(health=0, quiet=True, refused=True)
    told = capsys.readouterr().err
    assert "no room" in told and "df -h" in told
    assert (
        "the recovery is done all the same. Once that is mended: pgops backup --type full --no-expire --node n2" in told
    )


def test_without_a_stanza_there_is_no_backup() -> None:
    assert followed(health=0, quiet=True, stanza=None) == []
