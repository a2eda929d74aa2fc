"""Tells how much room copies take, and what of their own papers says what they hold. Reads only.

Called with one JSON document: `copies` (of each its `path` and `elsewhere`, the paths of its parts that lie outside it),
`budget_s` (for all measuring here together) and `papers` (whether the documents of each copy are wanted too). Prints one
JSON document: by the path of a copy, `sizes` (`path`, `bytes`, null where that is not known, and `why` not) and `papers` (by
name; null where that file is not there or cannot be read, and `why` by name where it cannot).
Source: GNU coreutils, du: it ends with 1 where it could not count all of it, so that its number is too low.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from pgops.hosts.remote.answering import answer

_PAPERS = {"manifest": "manifest.json", "account": "account/account.json", "salvage": "salvage/summary.json"}
_PAPER_LIMIT_BYTES = 2 * 1024 * 1024
"""pgops takes no more than a few MiB from one command."""


def main(words: list[str]) -> int:
    """Print the document."""
    return answer(lambda: read(json.loads(words[0])))


def read(wish: Mapping[str, Any]) -> dict[str, Any]:
    """What there is of each copy. What cannot be read is told as such, and never raises."""
    copies = wish["copies"]
    deadline = time.monotonic() + wish["budget_s"]
    left = sum(1 + len(copy["elsewhere"]) for copy in copies)
    found = {}
    for copy in copies:
        told: dict[str, Any] = {"sizes": []}
        if wish["papers"]:
            told["papers"], told["why"] = _papers(copy["path"])
        for path in (copy["path"], *copy["elsewhere"]):
            # A share of its own for each: a huge one must not leave the small ones without an answer.
            told["sizes"].append(_measure(path, max(deadline - time.monotonic(), 0.0) / left))
            left -= 1
        found[copy["path"]] = told
    return found


def _papers(path: str) -> tuple[dict[str, Any], dict[str, str]]:
    found: dict[str, Any] = {}
    why: dict[str, str] = {}
    for name, place in _PAPERS.items():
        found[name] = None
        try:
            with open(f"{path}/{place}", "rb") as file:
                text = file.read(_PAPER_LIMIT_BYTES + 1)
            if len(text) > _PAPER_LIMIT_BYTES:
                why[name] = f"{place} has more than {_PAPER_LIMIT_BYTES} bytes: read it there"
            else:
                found[name] = json.loads(text)
        except FileNotFoundError:
            pass
        except OSError as error:
            why[name] = f"{place}: {error.strerror}"
        except ValueError:
            why[name] = f"{place} is no JSON"
    return found, why


def _measure(path: str, limit_s: float) -> dict[str, Any]:
    """The room on disk, in bytes."""
    try:
        said = subprocess.run(
            ["/usr/bin/du", "-s", "--block-size=1", "--", path],
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"path": path, "bytes": None, "why": "took too long"}
    except OSError as error:
        return {"path": path, "bytes": None, "why": f"du: {error.strerror}"}
    count = said.stdout.partition(b"\t")[0]
    if said.returncode != 0 or not count.isdigit():
        told = said.stderr.decode(errors="replace").strip().splitlines()[:1]
        return {"path": path, "bytes": None, "why": told[0][:300] if told else f"du ended with {said.returncode}"}
    return {"path": path, "bytes": int(count), "why": None}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
