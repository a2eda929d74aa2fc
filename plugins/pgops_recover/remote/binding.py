"""Sets `postgresql.bin_dir` in a Patroni's own file to a directory of pgops's, and back: that one value, and no byte else.

Called with one JSON document, `stage` (`bind`, `restore` or `forget`), `file` and `directory`, and with the text of the
program `bin_dir`, which runs in that Patroni's own interpreter. Beside the file lie, with its owner and mode, its copy as it
was and a record: what was written, and which processes of Patroni ran then, since those have not read it. The file's values
stay on this host. Every stage may be repeated. Sources: proc(5), stat, the 22nd field (when a process began); Patroni,
patroni/config.py (the file is read by yaml.safe_load), patroni/postgresql/__init__.py (bin_dir is read once, at the start).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from pgops.hosts.remote.answering import Fault, alone_in, answer
from pgops.hosts.remote.durable import flush_directory

_PARSE_S = 30.0
_LIMIT_BYTES = 1024 * 1024


def main(words: list[str]) -> int:
    """Do one stage. 74 and a sentence where it cannot be done."""
    return answer(lambda: _stage(json.loads(words[0]), words[1]))


def _stage(wish: Mapping[str, Any], helper: str) -> None:
    place = os.path.dirname(wish["file"])
    _refuse_place(place)
    with alone_in(place):
        _STAGES[wish["stage"]](wish["file"], wish["directory"], helper)
        flush_directory(place)


def bind(file: str, directory: str, helper: str) -> None:
    """Let the file name the directory. Raises `Fault`, OSError."""
    content, record = _read(file), _record(file)
    if record.get("stage") == "bound" and _digest(content) == record["written"] and record["directory"] == directory:
        return
    answer = _ask(helper, file, {"text": _text(file, content), "directory": directory})
    changed = content
    if not answer.get("same"):
        changed = answer["text"].encode()
        record = {"before": answer["before"], "piece": answer["piece"], "added": answer["added"]}
        original = content
    elif record.get("directory") == directory and "piece" in record:
        # Somebody changed another part of it: the copy must have that as well.
        original = _without(file, content, directory, record, helper)
    else:
        raise Fault(f"{file} names {directory} already, and nothing says what it named before: set its bin_dir back")
    record = {
        "schema": 1,
        "directory": directory,
        "before": record["before"],
        "piece": record["piece"],
        "added": record["added"],
        "written": _digest(changed),
        "original": _digest(original),
    }
    _put(_copy_path(file), original, like=file)
    _write_record(file, {**record, "stage": "writing"})
    if changed != content:
        _put(file, changed, like=file, expected=content)
    # Those that run now may have read it before.
    _write_record(file, {**record, "stage": "bound", "deaf": [name for name, _ in _patronis(file)]})


def restore(file: str, directory: str, helper: str) -> None:
    """Let the file be as it was. One that names something else now is left alone. Raises `Fault`, OSError."""
    record = _record(file)
    if not record or record["stage"] == "restored":
        return
    content = _read(file)
    if _digest(content) == record["written"] and record["stage"] == "bound":
        original = _read(_copy_path(file))
        if _digest(original) != record["original"]:
            raise Fault(f"{_copy_path(file)} is not the copy that pgops made; set the bin_dir of {file} back by hand")
    else:
        original = _without(file, content, directory, record, helper)
    if original != content:
        _put(file, original, like=file, expected=content)
    running = [name for name, _ in _patronis(file)]
    _write_record(file, {"schema": 1, "directory": directory, "written": "", "stage": "restored", "deaf": running})
    _remove(_copy_path(file))


def forget(file: str, _directory: str, _helper: str) -> None:
    """Remove what was noted of a file that was set back. Raises `Fault`, OSError."""
    if _record(file).get("stage", "restored") != "restored":
        raise Fault(f"{file} was not set back yet")
    _remove(_copy_path(file))
    _remove(_record_path(file))


_STAGES = {"bind": bind, "restore": restore, "forget": forget}


def _without(file: str, content: bytes, directory: str, record: dict[str, Any], helper: str) -> bytes:
    """The content with what stood there before in the place of the directory."""
    wish = {"text": _text(file, content), "directory": directory}
    wish.update({name: record[name] for name in ("before", "piece", "added")})
    answer = _ask(helper, file, wish)
    return content if answer.get("same") else answer["text"].encode()


def _record_path(file: str) -> str:
    return f"{file}.pgops-guard.json"


def _copy_path(file: str) -> str:
    return f"{file}.pgops-guard-original"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _text(file: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Fault(f"{file} is not UTF-8") from None


def _refuse_place(place: str) -> None:
    """As root nothing is written where somebody else could put a link in its way."""
    seen = os.stat(place)
    if os.geteuid() == 0 and (seen.st_uid != 0 or (seen.st_mode & 0o022 and not seen.st_mode & stat.S_ISVTX)):
        raise Fault(f"{place} can be written by others than root")


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW) if not os.path.islink(path) else None
    if handle is None:
        raise Fault(f"{path} is a symbolic link: let Patroni be started with the file itself")
    with open(handle, "rb") as file:
        seen = os.fstat(file.fileno())
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1:
            raise Fault(f"{path} is no file, or has another name as well (a hard link)")
        content = file.read(_LIMIT_BYTES + 1)
    if len(content) > _LIMIT_BYTES:
        raise Fault(f"{path} has more than {_LIMIT_BYTES // 1024} KiB")
    return content


def _record(file: str) -> dict[str, Any]:
    path = _record_path(file)
    if not os.path.lexists(path):
        return {}
    try:
        record: dict[str, Any] = json.loads(_read(path))
        if record["schema"] != 1:
            raise ValueError(record["schema"])
    except (ValueError, KeyError, TypeError):
        raise Fault(f"{path} is not of this pgops") from None
    return record


def _write_record(file: str, record: dict[str, Any]) -> None:
    _put(_record_path(file), (json.dumps(record, indent=1, sort_keys=True) + "\n").encode(), like=file)


def _put(path: str, content: bytes, *, like: str, expected: bytes | None = None) -> None:
    """Give the file this content, durably, with owner, mode and attributes of `like`; only while it is as expected."""
    seen = os.stat(like, follow_symlinks=False)
    fresh = f"{os.path.dirname(path)}/.{os.path.basename(path)}.pgops-new"
    if os.path.lexists(fresh):  # left by one that was cut off
        os.unlink(fresh)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            mine = os.fstat(handle)
            if (mine.st_uid, mine.st_gid) != (seen.st_uid, seen.st_gid):
                os.fchown(handle, seen.st_uid, seen.st_gid)
            names = os.listxattr(like, follow_symlinks=False)
            # Labels such as SELinux's are root's to give; elsewhere the directory gives them.
            for name in names if os.geteuid() == 0 else [name for name in names if not name.startswith("security.")]:
                os.setxattr(handle, name, os.getxattr(like, name, follow_symlinks=False))
            os.fchmod(handle, stat.S_IMODE(seen.st_mode))
            os.fsync(handle)
        if expected is not None and _read(path) != expected:
            raise Fault(f"{path} was changed by somebody else meanwhile")
        os.rename(fresh, path)
    except BaseException:
        if os.path.lexists(fresh):
            os.unlink(fresh)
        raise
    flush_directory(os.path.dirname(path))


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)
        flush_directory(os.path.dirname(path))


def _patronis(file: str) -> list[tuple[str, str]]:
    """(its name: pid, start, boot; its program) of every Patroni that was started with the file."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot_id:
        boot = boot_id.read().strip()
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                words = cmdline.read().decode(errors="replace").split("\0")
            if file not in words or not any(os.path.basename(word) == "patroni" for word in words):
                continue
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as told:
                start = told.read().rpartition(") ")[2].split()[19]
            program = words[0] if words[0].startswith("/") else os.readlink(f"/proc/{pid}/exe")
        except (FileNotFoundError, ProcessLookupError, IndexError):
            continue  # it ended meanwhile
        found.append((f"{pid}:{start}:{boot}", program))
    return sorted(found)


def _ask(helper: str, file: str, wish: dict[str, Any]) -> dict[str, Any]:
    """What the helper answers, in the interpreter of a Patroni that runs with the file and as its user."""
    patronis = _patronis(file)
    if not patronis:
        raise Fault(f"no Patroni runs here that was started with {file}, whose YAML library would read it")
    name, program = patronis[0]
    owner = os.stat(f"/proc/{name.partition(':')[0]}")
    # Root runs no program that another user could have changed.
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0 and owner.st_uid != 0:
        as_user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    answer = subprocess.run(
        [program, "-c", helper],
        input=json.dumps(wish).encode(),
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        timeout=_PARSE_S,
        check=False,
        **as_user,
    )
    try:
        found: dict[str, Any] = json.loads(answer.stdout)
    except ValueError:
        raise Fault(f"{program}, which runs Patroni, cannot parse {file}: exit code {answer.returncode}") from None
    if "fault" in found:
        raise Fault(f"the bin_dir of {file} cannot be changed with certainty: {found['fault']}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
