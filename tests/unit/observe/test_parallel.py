"""Where a probe runs: in a process of its own only where this one bears a fork."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import ModuleType

import pytest

from pgops.dcs.forked import may_fork
from pgops.observe.parallel import start


def test_a_process_that_loaded_grpc_is_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its threads are none of Python's: the child of such a process hung, or died without a result."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.delitem(sys.modules, "grpc", raising=False)
    assert may_fork()
    monkeypatch.setitem(sys.modules, "grpc", ModuleType("grpc"))
    assert not may_fork()
    assert start(os.getpid).result(time.monotonic() + 5) == os.getpid()


def test_a_process_with_several_threads_is_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    monkeypatch.delitem(sys.modules, "grpc", raising=False)
    assert start(os.getpid).result(time.monotonic() + 5) == os.getpid()
