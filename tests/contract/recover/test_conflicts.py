"""Saved rows on a real PostgreSQL that went its own way meanwhile: compared first, then brought back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from contract.recover.own_server import Server, place_for_servers
from pgops.config.model import HostConfig
from pgops.observe.branch_facts import CopyFacts
from pgops.observe.salvages import read_salvages
from pgops.readings import known
from pgops.testing.fake_cluster import fake_config
from pgops_recover import comparing
from pgops_recover.comparing import Conflicts, read_conflicts

BEFORE = """
CREATE TABLE a_child (id int PRIMARY KEY, parent int);
CREATE TABLE b_parent (id int PRIMARY KEY);
ALTER TABLE a_child ADD CONSTRAINT has_a_parent FOREIGN KEY (parent) REFERENCES b_parent;
CREATE TABLE c_egg (id int PRIMARY KEY, hen int);
CREATE TABLE d_hen (id int PRIMARY KEY, egg int REFERENCES c_egg DEFERRABLE);
ALTER TABLE c_egg ADD FOREIGN KEY (hen) REFERENCES d_hen DEFERRABLE;
CREATE TABLE plain (id int PRIMARY KEY, body text);
INSERT INTO plain SELECT n, 'before' FROM generate_series(1, 30) n;
CREATE TABLE kinds (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED,
    empty text, nothing text, raw bytea, odd text, at timestamptz, "a ""name"" x" text);
CREATE TABLE two_keys (one text, two int, body text, PRIMARY KEY (two, one));
CREATE TABLE no_key (body text);
CREATE TABLE gone (id int PRIMARY KEY);
CREATE TABLE narrower (id int PRIMARY KEY, here text, there text);
CREATE TABLE wider (id int PRIMARY KEY);
CREATE TABLE mails (id int PRIMARY KEY, mail text UNIQUE);
CREATE TABLE marked (id int PRIMARY KEY, body text);
CREATE TABLE fired (what text);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fired VALUES ('row'); RETURN NEW; END $$;
CREATE TRIGGER fire BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION fire();
CREATE FUNCTION fire_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fired VALUES ('ddl'); END $$;
"""
LATIN = """
CREATE TABLE "straße" (id int PRIMARY KEY, "größe" text);
INSERT INTO "straße" VALUES (1, 'früher');
"""
KINDS = """
INSERT INTO kinds (n, empty, nothing, raw, odd, at, "a ""name"" x") VALUES
    (1, '', NULL, '\\x00ff5c0a22', E'a "quoted", \\\\ \\t and\\nbroken\\r\\nline', '2026-11-23 03:00:00.123456+02', 'x'),
    (2, 'x', '', '\\x', E'\\\\.\\n\\\\N\\n\\\\.', 'infinity', '"'),
    (3, NULL, 'y', NULL, E'\\\\N', NULL, NULL);
"""
ON_THE_LOSER = """
INSERT INTO b_parent VALUES (1), (2);
INSERT INTO a_child VALUES (10, 1), (11, 2);
BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO c_egg VALUES (1, 1); INSERT INTO d_hen VALUES (1, 1); COMMIT;
INSERT INTO plain SELECT n, 'there' FROM generate_series(101, 120) n;
UPDATE plain SET body = 'changed there' WHERE id <= 2;
UPDATE plain SET body = 'same on both' WHERE id = 3;
INSERT INTO two_keys VALUES ('x,"y', 1, 'there'), ('z', 2, 'there');
INSERT INTO no_key VALUES ('a'), ('b');
INSERT INTO gone VALUES (1);
INSERT INTO narrower VALUES (1, 'a', 'b');
INSERT INTO wider VALUES (1), (2);
INSERT INTO mails VALUES (1, 'a@x'), (2, 'b@x'), (3, NULL);
INSERT INTO marked VALUES (1, E'one\\n\\\\.\\ntwo'), (2, 'three');
"""
ON_THE_SURVIVOR = """
INSERT INTO plain SELECT n, 'here' FROM generate_series(101, 112) n;
INSERT INTO plain VALUES (113, 'there');
UPDATE plain SET body = 'same on both' WHERE id = 3;
INSERT INTO two_keys VALUES ('x,"y', 1, 'here');
DROP TABLE gone;
ALTER TABLE narrower DROP COLUMN there;
ALTER TABLE wider ADD COLUMN more text DEFAULT 'new';
INSERT INTO mails VALUES (9, 'a@x');
"""
LAST = "TRUNCATE fired; CREATE EVENT TRIGGER fire_ddl ON ddl_command_end EXECUTE FUNCTION fire_ddl()" + KINDS.replace(
    "(3, NULL", "(3, ''"
)
ALL_OF_PUBLIC = (
    "SELECT string_agg(c.relname || ':' || (SELECT count(*) FROM pg_class), ',') FROM pg_class c WHERE relkind = 'r'"
)


@dataclass(frozen=True)
class Sides:
    """A loser with its salvage folder, and a survivor that went on from where both were the same."""

    loser: Server
    survivor: Server
    copy: CopyFacts

    @property
    def folder(self) -> Path:
        """The salvage folder."""
        return Path(self.copy.path) / "salvage"

    def compare(self) -> dict[str, Conflicts]:
        """By database and table."""
        owner = "postgres" if os.geteuid() == 0 else None
        hosts = (
            HostConfig("n1", become=owner, data_dir=str(self.loser.data)),
            HostConfig("n2", become=owner, data_dir=str(self.survivor.data), bin_dir=str(self.survivor.bin_dir)),
        )
        cluster = replace(fake_config(("n1",)), hosts=hosts)
        return {
            f"{each.database}.{each.table}": each for each in read_conflicts(cluster, "n2", [("n1", self.copy)], "boss")
        }


def _start(server: Server) -> None:
    options = f"-c listen_addresses='' -k {server.top} -c fsync=off -c autovacuum=off"
    log = f"{server.top}/log"
    server.run(f"{server.bin_dir}/pg_ctl", "-D", str(server.data), "-l", log, "-o", options, "-w", "start")


def _stop(server: Server) -> None:
    server.attempt(f"{server.bin_dir}/pg_ctl", "-D", str(server.data), "-m", "fast", "-w", "stop")


@pytest.fixture(scope="module")
def sides() -> Iterator[Sides]:
    with place_for_servers("conflicts") as (top, programs):
        loser = Server(top, programs)
        loser.run("mkdir", str(top / "other"))
        survivor = Server(top / "other", programs)
        try:
            loser.start()
            loser.sql(BEFORE)
            loser.sql("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
            loser.ask("latin", f"SET client_encoding = 'UTF8';{LATIN}")
            _stop(loser)
            survivor.run("mkdir", str(survivor.data.parent))
            survivor.run("cp", "-a", str(loser.data), str(survivor.data))
            _start(loser)
            fork = loser.sql("SELECT pg_current_wal_flush_lsn()")
            loser.sql(ON_THE_LOSER)
            loser.sql(KINDS)
            loser.ask("latin", "SET client_encoding = 'UTF8'; INSERT INTO straße VALUES (2, 'Äpfel'), (3, 'Öl; ''\"')")
            _stop(loser)
            keep = loser.data.parent
            wish = {
                "pg_waldump": f"{programs}/pg_waldump",
                "wal_dirs": [f"{loser.data}/pg_wal"],
                "segment_bytes": 1 << 24,
                "pieces": [{"timeline": 1, "from": fork, "to": None}],
                "into": f"{keep}/account",
            }
            loser.program("account", wish)
            loser.program("rows", {"keep": str(keep), "bin_dir": str(programs), "superuser": "boss"})
            _start(survivor)
            survivor.sql(ON_THE_SURVIVOR)
            survivor.sql(KINDS.replace("(3, NULL", "(3, ''"))
            survivor.sql(LAST)
            survivor.ask("latin", "SET client_encoding = 'UTF8'; INSERT INTO straße VALUES (3, 'Ärger')")
            moment = datetime(2026, 11, 23, tzinfo=timezone.utc)
            yield Sides(loser, survivor, CopyFacts(str(keep), "r1", "recover", "n1", moment, "a", "", (), True, True))
        finally:
            _stop(survivor)


def _counts(found: Conflicts) -> tuple[int | None, ...]:
    return (found.rows, found.absent, found.held, found.same, found.both, found.changed)


@pytest.mark.parametrize("piece_bytes", [1, 300, comparing.PIECE_BYTES])
def test_every_row_is_compared_and_nothing_is_changed(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    monkeypatch.setattr(comparing, "PIECE_BYTES", piece_bytes)
    before = sides.survivor.sql(ALL_OF_PUBLIC)
    found = sides.compare()
    assert _counts(found["postgres.public.plain"]) == (23, 7, 0, 2, 12, 2)
    assert found["postgres.public.plain"].both_keys == tuple(map(str, range(101, 111)))
    assert found["postgres.public.plain"].changed_keys == ("1", "2")
    # The third row has an empty text here where it has none there; generated values are not compared.
    assert _counts(found["postgres.public.kinds"]) == (3, 0, 0, 2, 1, 0)
    assert found["postgres.public.kinds"].both_keys == ("3",)
    assert _counts(found["postgres.public.two_keys"]) == (2, 1, 0, 0, 1, 0)
    assert found["postgres.public.two_keys"].both_keys == ('(1,"x,""y")',)
    assert _counts(found["postgres.public.mails"]) == (3, 2, 1, 0, 0, 0)
    assert _counts(found["postgres.public.wider"]) == (2, 2, 0, 0, 0, 0)
    assert _counts(found["postgres.public.marked"]) == (2, 2, 0, 0, 0, 0)
    for name, rows, why in (
        ("no_key", 2, "no primary key"),
        ("gone", 1, "the table is not on the leader"),
        ("narrower", 1, "columns are not on the leader (any more): there"),
    ):
        each = found[f"postgres.public.{name}"]
        assert _counts(each) == (rows, None, None, None, None, None) and why in (each.why or ""), each
    latin = found['latin.public."straße"']
    assert _counts(latin) == (2, 1, 0, 0, 1, 0) and latin.both_keys == ("3",)
    assert sides.survivor.sql(ALL_OF_PUBLIC) == before
    assert sides.survivor.sql("SELECT count(*) FROM fired") == "0", "a trigger was fired"


def test_a_leader_that_gives_no_answer_is_told(sides: Sides) -> None:
    gone = replace(sides, survivor=Server(sides.loser.top / "nothing", sides.loser.bin_dir))
    found = gone.compare()["postgres.public.plain"]
    assert found.rows is None and "no PostgreSQL runs on" in (found.why or "")


def _apply(sides: Sides, file: str, database: str) -> dict[str, str]:
    script = (sides.folder / file).read_text().replace("\nROLLBACK;\n", "\nCOMMIT;\n")
    sides.loser.run("dd", "status=none", f"of={sides.folder}/{file}", stdin=script)
    wish = {
        "folder": str(sides.folder),
        "records": f"{sides.loser.top}/records",
        "carried": False,
        "file": file,
        "database": database,
        "sha256": hashlib.sha256(script.encode()).hexdigest(),
        "earlier": [],
        "data_dir": str(sides.survivor.data),
        "bin_dir": str(sides.survivor.bin_dir),
        "superuser": "boss",
        "lock_timeout_s": 5.0,
        "by": "alice@here",
        "run": "r1",
        "leader": "n2",
    }
    return sides.survivor.program("application", wish)


def test_the_folder_is_told_with_its_scripts(sides: Sides) -> None:
    facts = known(read_salvages(sides.loser.host, str(sides.loser.data.parent / "x"), timeout_s=30))
    assert facts is not None and facts.folders == (), "it lies beside another directory"
    sides.loser.run("ln", "-s", str(sides.loser.data.parent), f"{sides.loser.top}/data.pgops-r1")
    facts = known(read_salvages(sides.loser.host, f"{sides.loser.top}/data", timeout_s=30))
    assert facts is not None
    (folder,) = facts.folders
    assert (folder.tables, folder.rows) == (15, 67)
    assert [(each.file, each.database, each.ends) for each in folder.scripts] == [
        ("latin.sql", "latin", "rollback"),
        ("postgres.sql", "postgres", "rollback"),
    ]


def _mend(sides: Sides, text: str, *tables: str) -> None:
    """Write the script without what it does with these."""
    begin = "\nCREATE TEMPORARY TABLE pgops_salvaged"
    kept = [part for part in text.split(begin) if not any(f"FROM ONLY public.{table} r" in part for table in tables)]
    mended = begin.join(kept).removesuffix("\nROLLBACK;\n") + "\nROLLBACK;\n"
    sides.loser.run("dd", "status=none", f"of={sides.folder}/postgres.sql", stdin=mended)


def test_a_script_that_a_person_mended_brings_the_rows_back(sides: Sides) -> None:
    """As it is made it names what is gone; without that, every absent row comes, referenced ones first."""
    text = (sides.folder / "postgres.sql").read_text()
    order = [text.index(f"INSERT INTO public.{name} ") for name in ("b_parent", "a_child")]
    assert order == sorted(order)
    assert "in a circle" in text and "public.c_egg, public.d_hen" in text
    assert _apply(sides, "postgres.sql", "postgres") == {"outcome": "failed"}
    reason = sides.loser.run("cat", f"{sides.loser.top}/records/postgres.sql.failed.json")
    assert "gone" in reason and "does not exist" in reason
    assert sides.survivor.sql("SELECT count(*) FROM a_child") == "0"

    _mend(sides, text, "gone", "narrower")
    assert "a value has a line \\." in (sides.folder / "REPORT.md").read_text()
    if int(sides.survivor.sql("SHOW server_version_num")) < 180000:
        assert _apply(sides, "postgres.sql", "postgres") == {"outcome": "failed"}
        reason = sides.loser.run("cat", f"{sides.loser.top}/records/postgres.sql.failed.json")
        assert "unterminated CSV quoted field" in reason
    _mend(sides, text, "gone", "narrower", "marked")
    assert _apply(sides, "postgres.sql", "postgres") == {"outcome": "committed"}
    assert sides.survivor.sql("SELECT * FROM a_child ORDER BY 1") == "10|1\n11|2"
    assert sides.survivor.sql("SELECT * FROM c_egg, d_hen") == "1|1|1|1"
    assert sides.survivor.sql("SELECT count(*) FROM plain WHERE body = 'there'") == "8"
    assert sides.survivor.sql("SELECT * FROM wider ORDER BY id") == "1|new\n2|new"
    assert sides.survivor.sql("SELECT * FROM mails ORDER BY id") == "2|b@x\n3|\n9|a@x"
    assert _apply(sides, "latin.sql", "latin") == {"outcome": "committed"}
    shown = sides.survivor.ask("latin", "SET client_encoding = 'UTF8'; SELECT * FROM straße ORDER BY id")
    assert shown == "1|früher\n2|Äpfel\n3|Ärger"
    found = sides.compare()
    assert [found[name].absent for name in ("postgres.public.plain", "postgres.public.a_child")] == [0, 0]
    assert found['latin.public."straße"'].same == 1
