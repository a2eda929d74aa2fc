"""What was seen before anything was done, as files for whoever looks into the incident later."""

from __future__ import annotations

import json
from dataclasses import replace

from pgops.dcs import Dcs
from pgops.observe.snapshot import Snapshot
from pgops.plan import documents
from pgops.plan.actions import SEEN_FIRST, Action, SaveKeys, WriteFile

EVIDENCE_KINDS = ("pgops-evidence", "pgops-dcs-keys")
"""The `kind` of the documents that are written here."""


def fill_seen(action: Action, first: Snapshot) -> Action:
    """The action with the first snapshot in the place of `SEEN_FIRST`; any other one as it is."""
    if not isinstance(action, WriteFile) or action.content != SEEN_FIRST:
        return action
    document = {
        "schema": documents.SCHEMA,
        "kind": EVIDENCE_KINDS[0],
        "taken_at": first.taken_at.isoformat(),
        "snapshot": documents.to_document(first),
    }
    return replace(action, content=json.dumps(document, indent=1) + "\n")


def keys_file(action: SaveKeys, prefix: str, dcs: Dcs) -> WriteFile:
    """The file that this action writes: every key under Patroni's `prefix`, its value as it is. Raises `DcsFault`."""
    keys = {
        entry.key: {"value": entry.value, "mod_revision": entry.revision, "lease": entry.lease}
        for entry in dcs.read_prefix(prefix).values()
    }
    document = {"schema": documents.SCHEMA, "kind": EVIDENCE_KINDS[1], "prefix": prefix, "keys": keys}
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    return WriteFile(action.host, action.path, text, 0o600, action.identity, action.again, action.timeout_s)
