"""etcd's v3 messages, built and read. `rpc` is the library's module of message classes, which its one importer has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgops.dcs import Compare, DcsKey, Delete, Put, Transaction


def build_reading(rpc: Any, keys: Sequence[str]) -> Any:
    """A transaction that reads these keys: all as of one revision, and linearizable, as its ranges are."""
    return rpc.TxnRequest(success=_ranges(rpc, keys))


def build_transaction(rpc: Any, compares: Sequence[Compare], changes: Sequence[Put | Delete]) -> Any:
    """The transaction; where a comparison fails it reads the compared keys instead."""
    return rpc.TxnRequest(
        # A key that is absent compares as revision 0. Source: etcd, api/etcdserverpb/rpc.proto, Compare.
        compare=[
            rpc.Compare(
                result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, key=item.key.encode(), mod_revision=item.revision
            )
            for item in compares
        ],
        success=[_change(rpc, item) for item in changes],
        failure=_ranges(rpc, [item.key for item in compares]),
    )


def read_transaction(reply: Any, compares: Sequence[Compare]) -> Transaction:
    """The answer to `build_transaction`."""
    if reply.succeeded:
        return Transaction(True, reply.header.revision, {})
    present = read_ranges(reply)
    return Transaction(False, reply.header.revision, {item.key: present.get(item.key) for item in compares})


def read_ranges(reply: Any) -> dict[str, DcsKey]:
    """All keys that the ranges of a transaction found."""
    found = [read_entry(entry) for response in reply.responses for entry in response.response_range.kvs]
    return {key.key: key for key in found}


def read_entry(entry: Any) -> DcsKey:
    """One key of a reply; bytes that are not UTF-8 become visible escapes."""
    return DcsKey(as_text(entry.key), as_text(entry.value), entry.mod_revision, entry.lease or None)


def as_text(raw: bytes) -> str:
    """UTF-8; other bytes become visible escapes."""
    return raw.decode("utf-8", "backslashreplace")


def _ranges(rpc: Any, keys: Sequence[str]) -> list[Any]:
    return [rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode())) for key in dict.fromkeys(keys)]


def _change(rpc: Any, change: Put | Delete) -> Any:
    if isinstance(change, Put):
        put = rpc.PutRequest(key=change.key.encode(), value=change.value.encode(), lease=change.lease or 0)
        return rpc.RequestOp(request_put=put)
    return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=change.key.encode()))
