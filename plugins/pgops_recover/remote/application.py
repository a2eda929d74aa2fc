"""Runs a script of a salvage folder on the leader, once: what was committed is never run again, however it was cut off.

Called with one JSON document: `folder` (where the script and its files lie), `file`, `database`, `sha256` (of the script),
`records` (a directory of pgops's own on the leader's host), `carried` (whether the folder is a carried one), `earlier` (what
other hosts know of runs that were cut off), `data_dir`, `bin_dir`, `superuser`, `lock_timeout_s`, `by`, `run`, `leader`.
psql gets all that stands before COMMIT; then the transaction's id is written down and is on the disk before COMMIT is sent,
and `records/back/applied.json` tells of it afterwards. What changed nothing is told in `records/FILE.failed.json`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from pgops.hosts.remote.answering import Fault, alone_in, answer
from pgops.hosts.remote.durable import write_durably
from pgops.hosts.remote.files import files_of, sha256_of
from pgops.hosts.remote.psql_script import COMMIT, Script, ScriptFault, read_script
from pgops_recover.remote.leading import Leading, sentence_of
from pgops_recover.remote.outcomes import ABORTED, COMMITTED, MARK, UNKNOWN, flush, outcome_of, system_of

_TAG = re.compile(rb"(?:INSERT 0|UPDATE|DELETE) (\d+)\n")
_KINDS = {b"I": "inserted", b"U": "updated", b"D": "deleted"}
_END = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{name}' AND pid <> pg_backend_pid()
"""
_KEYS = ("database", "script_sha256", "xid", "by", "run", "leader", "inserted", "updated", "deleted")


class _Failed(Exception):
    """The script changed nothing; why."""


def main(words: list[str]) -> int:
    """Do it, and print how it ended as JSON. 74 and a sentence where that cannot be told, or it was not begun."""
    return answer(lambda: {"outcome": _apply_alone(json.loads(words[0]))})


def _apply_alone(wish: Mapping[str, Any]) -> str:
    os.makedirs(wish["records"], mode=0o700, exist_ok=True)
    with alone_in(wish["records"]):
        return apply(wish)


def apply(wish: Mapping[str, Any]) -> str:
    """`committed`, `unknown` or `failed`. Raises `Fault` or OSError; then it may be called again."""
    applied = Applied(wish)
    earlier = applied.outcome()
    if earlier is not None:
        applied.write()
        return earlier
    path = f"{wish['folder']}/{wish['file']}"
    if sha256_of(path) != wish["sha256"]:
        raise Fault(f"{path} was changed since it was looked at")
    with open(path, encoding="latin-1", newline="") as file:
        text = file.read()
    try:
        script = read_script(text)
    except ScriptFault as fault:
        raise Fault(f"{path}: {fault}") from None
    if script.ends != COMMIT:
        raise Fault(f"{path} ends in ROLLBACK")
    server = Leading(wish, f"-c lock_timeout={int(wish['lock_timeout_s'] * 1000)}")
    try:
        settled = applied.settle(server, script)
        if settled is not None:
            return settled
        begun = _run(wish, server, script.body)
    except _Failed as failed:
        record = {name: wish[name] for name in ("database", "run")}
        told = {**record, "script_sha256": wish["sha256"], "reason": str(failed)}
        write_durably(f"{wish['records']}/{wish['file']}.failed.json", json.dumps(told))
        if wish["carried"]:
            shutil.rmtree(wish["folder"])  # customers' rows stay nowhere where they serve nothing
        return "failed"
    applied.conclude(server, begun, COMMITTED, script)
    return COMMITTED


class Applied:
    """What was applied of this folder, as far as it is known here, and what was cut off."""

    def __init__(self, wish: Mapping[str, Any]) -> None:
        self._wish = wish
        self._begun_path = _begun_path(wish)
        self.records: list[Any] = []
        for place in (f"{wish['folder']}/applied.json", f"{wish['records']}/back/applied.json"):
            if os.path.exists(place):
                with open(place, encoding="utf-8") as file:
                    self.records += [each for each in json.load(file)["applied"] if each not in self.records]

    def outcome(self) -> str | None:
        """Of this very script; None: it was not applied."""
        for each in self.records:
            if (each["database"], each["script_sha256"]) == (self._wish["database"], self._wish["sha256"]):
                return str(each["outcome"])
        return None

    def settle(self, server: Leading, script: Script) -> str | None:
        """How those ended that were cut off, here or on other hosts. None: this script may be run."""
        found = [each for each in self._wish["earlier"] if each["database"] == self._wish["database"]]
        for begun in [*found, *self._cut_off()]:
            outcome = outcome_of(server, begun)
            if outcome == ABORTED:
                continue
            same = begun["script_sha256"] == self._wish["sha256"]
            self.conclude(server, begun, outcome, script if same else None)
            if same:
                return outcome
            what = (
                "was committed" if outcome == COMMITTED else "may have been committed, which nobody can tell any more"
            )
            raise _Failed(
                f"this script was not run: an earlier form of it (SHA-256 {begun['script_sha256'][:12]}) {what}, as "
                f"transaction {begun['xid']}; look at what it left, and run this again if it is still wanted"
            )
        self.forget_begun()
        # A psql whose program was killed before COMMIT was sent goes on with its statement, and bars the rows of the next.
        server.ask(self._wish["database"], _END.format(name=_session_name(self._wish)).encode())
        return None

    def conclude(self, server: Leading, begun: Mapping[str, Any], outcome: str, script: Script | None) -> None:
        """Run what stands behind COMMIT, which may be repeated, and write down how it ended."""
        fault = None
        if outcome == COMMITTED:
            flush(server, begun["database"])
            try:
                settings, behind = (script.settings, script.behind) if script else ((), ())
                for statement in behind:
                    server.ask(begun["database"], "\n".join((*settings, statement)).encode("latin-1"))
            except Fault as told:
                fault = f"its rows are committed, but what stands behind COMMIT failed: {told}"
        record = {"schema": 1, "outcome": outcome, "fault": fault, **{name: begun[name] for name in _KEYS}}
        record["at"] = begun["at"] if outcome == UNKNOWN else datetime.now(timezone.utc).isoformat()
        self.records.append({**record, "timeline": begun["timeline"], "lsn": begun["lsn"]})
        self.write()
        self.forget_begun()

    def forget_begun(self) -> None:
        """What was cut off is settled."""
        if os.path.exists(self._begun_path):
            os.unlink(self._begun_path)

    def _cut_off(self) -> list[Any]:
        """What was cut off here, and is not written down as applied."""
        if not os.path.exists(self._begun_path):
            return []
        with open(self._begun_path, encoding="utf-8") as file:
            begun = json.load(file)
        noted = any(each["xid"] == begun["xid"] and each["database"] == begun["database"] for each in self.records)
        return [] if noted else [begun]

    def write(self) -> None:
        """What goes back into the salvage folder: what the script wrote there, and then the record."""
        back, folder = f"{self._wish['records']}/back", self._wish["folder"]
        os.makedirs(back, exist_ok=True)
        if self._wish["carried"] and os.path.isdir(folder):
            for name in files_of(folder):
                if name.endswith(".deleted.csv"):
                    os.makedirs(os.path.dirname(f"{back}/{name}"), exist_ok=True)
                    shutil.copyfile(f"{folder}/{name}", f"{back}/{name}")
        document = {"schema": 1, "kind": "pgops-applied", "applied": self.records}
        write_durably(f"{back}/applied.json", json.dumps(document, indent=2))


def _begun_path(wish: Mapping[str, Any]) -> str:
    return f"{wish['records']}/{wish['file']}.begun.json"


def _session_name(wish: Mapping[str, Any]) -> str:
    """By which the server knows the session that runs this script: of letters and digits, and short enough for it."""
    return f"pgops apply {hashlib.sha256(_begun_path(wish).encode()).hexdigest()[:32]}"


def _run(wish: Mapping[str, Any], server: Leading, body: str) -> dict[str, Any]:
    """Run it to its COMMIT; the record of the transaction. Raises `_Failed` where it surely changed nothing, else `Fault`."""
    with tempfile.TemporaryFile() as errors:
        session = _Session(server, wish, errors)
        try:
            # Outside of a transaction each would have an id of its own.
            marks = f"{MARK}\\gset pgops_\nSELECT pg_catalog.txid_current() AS again \\gset pgops_\n"
            told = session.say(
                f"{body}\n{marks}",
                ":pgops_xid :pgops_again :pgops_lsn :pgops_file",
            )
            if told is None:
                raise _Failed(session.why())
            xid, again, lsn, wal_file = told.split()
            if xid != again:
                raise _Failed("it ended its transaction by itself")
            flush(server, wish["database"])
            begun: dict[str, Any] = {
                **{name: wish[name] for name in ("database", "by", "run", "leader")},
                **session.counts(),
                "script_sha256": wish["sha256"],
                "xid": int(xid),
                "timeline": int(wal_file[:8], 16),
                "lsn": lsn,
                "system_identifier": system_of(server, wish["database"]),
                "at": datetime.now(timezone.utc).isoformat(),
            }
            write_durably(_begun_path(wish), json.dumps(begun))
            if session.say("COMMIT;\n", "") is not None:
                return begun
            why = session.why()
        finally:
            session.close()
    try:
        outcome = outcome_of(server, begun)
    except Fault as fault:
        raise Fault(f"cut off at the COMMIT of transaction {xid}, and how it ended is not told yet: {fault}") from None
    if outcome == ABORTED:
        os.unlink(_begun_path(wish))
        raise _Failed(why)
    if outcome == UNKNOWN:
        raise Fault(f"whether the transaction {xid} was committed cannot be told: {why}")
    return begun


class _Session:
    """A psql that is told piece by piece. What it prints is counted, and not kept: it may be rows."""

    def __init__(self, server: Leading, wish: Mapping[str, Any], errors: Any) -> None:
        self._errors = errors
        self._counts = dict.fromkeys(_KINDS.values(), 0)
        # Expanded rows begin with their column's name, so that none looks like what psql says of a statement.
        self._child = subprocess.Popen(
            [*server.argv, "-Ax", "-f", "-"],  # read as a file, so that errors have their line
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=wish["folder"],
            env=server.environment(wish["database"], _session_name(wish)),
        )
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None:
            raise Fault("psql has no pipes")  # never: they were asked for
        self._stdin, self._stdout = stdin, stdout
        self._token = secrets.token_hex(16).encode()
        self._told: str | None = None
        self._seen = threading.Semaphore(0)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def say(self, text: str, values: str) -> str | None:
        """Let it run this, then tell these values; None: it ended before that."""
        self._told = None
        try:
            self._stdin.write(text.encode("latin-1") + b"\\echo " + self._token + f" {values}\n".encode())
            self._stdin.flush()
        except BrokenPipeError:
            self._child.wait()
        self._seen.acquire()
        return self._told

    def counts(self) -> dict[str, int]:
        """The rows that its statements inserted, updated and deleted so far."""
        return dict(self._counts)

    def why(self) -> str:
        """Why it ended."""
        self.close()
        self._errors.seek(0)
        return sentence_of(self._errors.read())

    def close(self) -> None:
        """End it; what is not committed by then is rolled back."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        self._child.wait()
        self._reader.join()

    def _read(self) -> None:
        for line in iter(lambda: self._stdout.readline(1 << 16), b""):
            tag = _TAG.fullmatch(line)
            if tag:
                self._counts[_KINDS[line[:1]]] += int(tag[1])
            elif line.startswith(self._token):
                self._told = line[len(self._token) :].decode().strip()
                self._seen.release()
        self._seen.release()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
