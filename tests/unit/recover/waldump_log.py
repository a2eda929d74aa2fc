"""Lines of pg_waldump, given to the account by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pgops_recover.remote.account import _Reader
from pgops_recover.remote.records import Records


@dataclass
class Log:
    """Lines before the fork and behind it.

    However they are parted in stretches and blocks, and whether the one pattern or the many take them in, the account says
    the same.
    """

    before: list[bytes] = field(default_factory=list)
    behind: list[bytes] = field(default_factory=list)
    keeps_changes: bool = True

    def tell(self) -> dict[str, Any]:
        """The document."""
        return self._account()[0]

    def transactions(self) -> bytes:
        """The file transactions.tsv."""
        return self._account()[1]

    def changes(self) -> bytes:
        """The file changes.tsv."""
        return self._account()[2]

    def _account(self) -> tuple[dict[str, Any], bytes, bytes]:
        whole, *parted = [
            self._read(lambda lines: [[b"".join(lines)]]),  # one stretch that is one block of text
            self._read(lambda lines: [lines]),  # one stretch, a line at a time
            self._read(lambda lines: [[line] for line in lines]),  # each line is a stretch
            self._read(lambda lines: [lines], Records._take_line),  # no line is a plain one
        ]
        assert parted == [whole] * 3
        return whole

    def _read(
        self,
        part: Callable[[list[bytes]], list[list[bytes]]],
        take: Callable[[Records, bytes], None] = Records.take,
    ) -> tuple[dict[str, Any], bytes, bytes]:
        ended, changed = io.BytesIO(), io.BytesIO()
        wish = {"segment_bytes": 1 << 24, "pg_waldump": "x", "into": "/x" if self.keeps_changes else None}
        reader = _Reader(wish, "/x", ended, changed)
        for lines in (self.before, self.behind):
            if lines is self.behind:
                reader._pass_fork()
            for stretch in part(lines):
                records = Records(keeps_changes=self.keeps_changes)
                for text in stretch:
                    take(records, text)
                reader._take_part(records.events, records.rows)
        return reader._tell(0, 0.0), ended.getvalue(), changed.getvalue()
