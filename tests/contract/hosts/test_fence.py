"""A host refuses a run that another has overtaken, whatever the two do at once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from contract.hosts.conftest import Acted
from pgops.hosts.fence import Fence, FencedOff, fence_file, run_fenced
from pgops.hosts.host import HostFault, Identity
from pgops.hosts.process import CommandResult


def run(acted: Acted, token: int, *argv: str, stdin: bytes | None = None) -> CommandResult:
    return run_fenced(acted.host, argv, fence=acted.fence(token), identity=acted.identity, stdin=stdin)


def test_a_lower_token_is_refused_an_equal_and_a_higher_one_pass(acted: Acted) -> None:
    mark = acted.place / "mark"
    assert run(acted, 5, "true").ok
    assert run(acted, 5, "true").ok
    assert run(acted, 9, "true").ok
    with pytest.raises(FencedOff, match="token 5 is lower than 9, another run has taken over"):
        run(acted, 5, "touch", str(mark))
    assert not mark.exists()
    assert run(acted, 10, "touch", str(mark)).ok
    assert mark.exists()


def test_the_command_is_run_as_it_would_be_without(acted: Acted) -> None:
    odd = ("it's", "$HOME", "a\nb", "", "-n", "ünï")
    result = run(acted, 5, "printf", "%s|", *odd)
    assert result.stdout == "".join(f"{word}|" for word in odd)
    assert result.argv[0] == "printf"
    assert run(acted, 5, "cat", stdin=b"given").stdout == "given"
    failed = run(acted, 5, "sh", "-c", "umask; echo said >&2; exit 75")
    assert (failed.exit_code, failed.stdout, failed.stderr) == (75, "0022\n", "said\n")
    assert run(acted, 5, "/nonexistent").exit_code == 127


def test_of_many_at_once_none_passes_after_a_higher_one(acted: Acted) -> None:
    seen: list[int] = []
    log = acted.place / "order"

    def work(token: int) -> None:
        try:
            run(acted, token, "sh", "-c", f"echo {token} >>{log}")
        except FencedOff:
            seen.append(token)

    threads = [threading.Thread(target=work, args=(token,)) for token in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 12 not in seen
    passed = {int(line) for line in log.read_text().split()}
    assert passed | set(seen) == set(range(1, 13)) and passed.isdisjoint(seen)
    with pytest.raises(FencedOff, match="lower than 12"):
        run(acted, 11, "true")


def test_a_planted_link_and_a_damaged_file_are_refused(acted: Acted) -> None:
    assert run(acted, 5, "true").ok
    file = Path(acted.fence().file(acted.identity))
    file.write_text("rubbish\n")
    with pytest.raises(HostFault, match="does not hold a token"):
        run(acted, 6, "true")
    file.unlink()
    file.symlink_to(acted.place / "elsewhere")
    with pytest.raises(HostFault, match="is not a file of ours"):
        run(acted, 6, "true")
    assert not (acted.place / "elsewhere").exists()
    file.unlink()
    file.parent.chmod(0o777)
    with pytest.raises(HostFault, match="is not a directory of ours with mode 0700"):
        run(acted, 6, "true")


@pytest.mark.skipif(os.geteuid() != 0, reason="a home of its own needs root")
def test_a_tilde_is_the_home_of_whoever_runs_it(acted: Acted) -> None:
    home = acted.host.run(["getent", "passwd", "nobody"]).stdout.split(":")[5]
    with pytest.raises(HostFault, match=f"{home}/.local/state/pgops cannot be made"):
        run_fenced(acted.host, ["true"], fence=Fence(1, "/service/demo/"), identity=acted.identity, timeout_s=10)


def test_files_are_apart_for_each_cluster_and_identity() -> None:
    prefixes = ("/service/demo/", "/service/demo2/", "/service%2Fdemo/", f"/{'x' * 300}/")
    files = {fence_file(None, identity, prefix) for identity in Identity for prefix in prefixes}
    assert len(files) == len(prefixes) * 2, "our own and the owner's lie in their own homes"
    assert all(len(file.rpartition("/")[2]) < 255 for file in files)
    assert fence_file("/srv/pgops/", Identity.ROOT, "/service/demo/") == "/srv/pgops/root/fence-service%2Fdemo"
