"""Clients that write to one member until it lets them no longer, and remember what was acknowledged to them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from practice.recover.rows import Sides

SETUP = "CREATE TABLE IF NOT EXISTS load (id text PRIMARY KEY, body text)"
_CLIENTS = 3


@dataclass
class Written:
    """The ids that a member said were committed, and all that were sent to it: the last of each client is in doubt."""

    acknowledged: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)

    def check(self, found: set[str]) -> None:
        """Nothing is missing, and nothing is invented."""
        assert self.acknowledged, "no client got anything done"
        assert self.acknowledged <= found, f"missing: {sorted(self.acknowledged - found)[:5]}"
        assert found <= self.sent, f"invented: {sorted(found - self.sent)[:5]}"


@contextmanager
def writing(sides: Sides, name: str, word: str) -> Iterator[Written]:
    """Clients write to this member, ids that begin with `word`, until the block ends or the member ends it."""
    written, stop = Written(), threading.Event()

    def work(client: int) -> None:
        lab = sides.lab
        try:
            with psycopg.connect(
                host=sides.member(name).address,
                user="postgres",
                dbname="app",
                passfile=str(lab.pgpass),
                connect_timeout=5,
                autocommit=True,
            ) as connection:
                number = 0
                while not stop.is_set():
                    number += 1
                    id_ = f"{word} {client} {number}"
                    written.sent.add(id_)
                    connection.execute("INSERT INTO load VALUES (%s, %s)", (id_, "x" * 200))
                    written.acknowledged.add(id_)
                    stop.wait(0.005)
        except psycopg.Error:
            return

    threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
