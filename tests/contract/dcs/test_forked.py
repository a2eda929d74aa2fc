"""The forked driver: the tests of `test_etcd_writes` pass through it, it ends with its parent, and it can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from contract.dcs.etcd_cluster import need_etcd

TESTS = Path(__file__).parents[2]

_PARENT = """
import os, signal, sys, time
from pgops.dcs import Compare, Dcs, DcsFault, DcsKey, DcsOutcomeUnknown, Put, Transaction
from pgops.dcs.forked import ForkedDcs

class Odd:
    def read_prefix(self, prefix):
        if prefix == "/stuck/":
            time.sleep(60)
        if prefix == "/die/":
            os._exit(9)
        if prefix == "/bug/":
            raise KeyError("canary")
        if not prefix.endswith("/"):
            raise ValueError("a prefix ends with a slash")
        return {prefix: DcsKey(prefix, "x" * 3_000_000, 1)}

    def transact(self, compares, changes):
        if changes[0].value == "stuck":
            time.sleep(60)
        if changes[0].value == "die":
            os._exit(9)
        if changes[0].value.startswith("/"):
            deadline = time.monotonic() + 5
            while not os.path.exists(changes[0].value):
                if time.monotonic() > deadline:
                    raise DcsFault("nothing was done meanwhile")
                time.sleep(0.01)
            return Transaction(True, 7, {})
        raise {"fault": DcsFault, "unknown": DcsOutcomeUnknown}[changes[0].value]("said so")

    def keep_lease(self, lease):
        return lease

def said(call):
    try:
        return call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def put(dcs, value):
    return said(lambda: dcs.transact([], [Put("/pgops/k", value)]))

dcs = ForkedDcs(Odd, timeout_s=0.3)
"""


def run(script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PARENT + script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_drivers_pass_their_tests_through_it() -> None:
    """In a process of its own: gRPC must not have been used where it is forked."""
    need_etcd()
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "forked"]
    done = subprocess.run(
        [*argv, "contract/dcs/test_etcd_writes.py"],
        cwd=TESTS,
        env={**os.environ, "PGOPS_TEST_DCS": "forked"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]


def test_faults_come_through_as_what_they_are() -> None:
    lines = run("""
print(put(dcs, "fault"), put(dcs, "unknown"), sep="\\n")
print(said(lambda: dcs.read_prefix("/none")), said(lambda: dcs.read_prefix("/bug/")), sep="\\n")
print(len(dcs.read_prefix("/big/")["/big/"].value), put(dcs, "fault" * 500_000)[:60])
dcs.close()
print(put(dcs, "fault"))
""")
    assert lines[:4] == [
        "DcsFault: said so",
        "DcsOutcomeUnknown: said so",
        "ValueError: a prefix ends with a slash",
        "DcsFault: a bug in the DCS driver: KeyError: 'canary'",
    ]
    assert lines[4].startswith("3000000 DcsOutcomeUnknown: a bug in the DCS driver: KeyError")
    assert lines[5] == "DcsFault: the process that asks the DCS ended"


def test_a_stuck_call_ends_in_time_and_holds_up_no_other() -> None:
    lines = run("""
import threading
slow = threading.Thread(target=lambda: print(said(lambda: dcs.read_prefix("/stuck/"))))
slow.start()
time.sleep(0.1)
started = time.monotonic()
assert [dcs.keep_lease(7) for _ in range(200)] == [7] * 200
assert time.monotonic() - started < 1, "held up"
slow.join()
started = time.monotonic()
print(put(dcs, "stuck"))
assert 1 < time.monotonic() - started < 5
assert dcs.keep_lease(8) == 8
started = time.monotonic()
dcs.close()
assert time.monotonic() - started < 3
""")
    assert lines == [
        "DcsFault: the process that asks the DCS gave no answer within 1.3 s",
        "DcsOutcomeUnknown: the process that asks the DCS gave no answer within 1.3 s",
    ]


def test_work_goes_on_while_a_transaction_is_under_way(tmp_path: Path) -> None:
    """The driver's transaction waits for what the work makes; an answer that came during long work counts."""
    lines = run(f"""
def make(seconds):
    open({str(tmp_path / "made")!r}, "w").close()
    time.sleep(seconds)

for seconds in (0, 2):
    print(said(lambda: dcs.transact_during([], [Put("/pgops/k", {str(tmp_path / "made")!r})], lambda: make(seconds))))
print(said(lambda: dcs.transact_during([], [Put("/pgops/k", "unknown")], lambda: None)))
print(said(lambda: dcs.transact_during([], [Put("/pgops/k", "fault")], lambda: 1 / 0)))
print(dcs.keep_lease(7))
""")
    assert lines == [
        "Transaction(succeeded=True, revision=7, found={})",
        "Transaction(succeeded=True, revision=7, found={})",
        "DcsOutcomeUnknown: said so",
        "ZeroDivisionError: division by zero",
        "7",
    ]


def test_a_child_that_died() -> None:
    lines = run("""
print(put(dcs, "die"))
print(put(dcs, "fault"), said(lambda: dcs.read_prefix("/x/")), sep="\\n")
dcs.close()
""")
    assert lines == [
        "DcsOutcomeUnknown: the process that asks the DCS ended",
        "DcsFault: the process that asks the DCS ended",
        "DcsFault: the process that asks the DCS ended",
    ]


def test_the_child_ignores_what_the_parent_answers_and_ends_with_it() -> None:
    (line,) = run("""
for sign in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    os.kill(dcs._pid, sign)
assert dcs.keep_lease(3) == 3
import threading
threading.Thread(target=lambda: said(lambda: dcs.read_prefix("/stuck/")), daemon=True).start()
time.sleep(0.1)
print(dcs._pid, flush=True)
os._exit(0)
""")
    _await_gone(int(line))
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT + "print(dcs._pid, dcs.keep_lease(3), flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline().split()[0])
    os.kill(child, 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    _await_gone(child)


def _await_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return  # dead; whoever inherited it has yet to reap it
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")
