"""OpenSSH's words: which destinations we give it, and what its messages mean. Source: OpenSSH 9, ssh.c, sshconnect.c."""

from __future__ import annotations

import re

from pgops.config.model import SshConfig
from pgops.hosts.process import CommandResult
from pgops.render.text import printable

# A destination may become part of a ProxyCommand, which a shell runs: no character that a shell minds.
_DESTINATION = re.compile(r"(?:ssh://)?[A-Za-z0-9_\[:][A-Za-z0-9_.:@%\[\]+/-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+\\-]*")

_MEANINGS = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key has CHANGED; find out why, then mend known_hosts"),
    ("Host key verification failed", "its host key is not known; verify it, then add it: ssh-keyscan {host}"),
    ("Too many authentication failures", "the agent offered too many keys; set IdentitiesOnly in ssh_config"),
    ("Permission denied", "login refused; load the key into the agent, or set IdentityFile and User in ssh_config"),
    ("Could not resolve hostname", "its name is not known"),
    ("Connection refused", "connection refused; does sshd run there?"),
    ("No route to host", "no route to it"),
    ("Network is unreachable", "its network is unreachable"),
    ("timed out", "no connection in time"),
    ("Connection closed", "the other side closed the connection"),
    ("Connection reset", "the other side closed the connection"),
    ("Broken pipe", "the connection broke off"),
    ("not responding", "it stopped answering"),
    ("Can't open user config file", "the ssh config_file cannot be read"),
    ("Bad configuration option", "ssh_config has a fault"),
    ("Bad owner or permissions", "ssh refuses a configuration file that others may write"),
)


def refuse_hostile(config: SshConfig) -> str | None:
    """Why ssh is not given this destination, or None."""
    if not _DESTINATION.fullmatch(config.destination):
        return f"ssh: {printable(config.destination)!r} is not a host name"
    if config.user is not None and not _USER.fullmatch(config.user):
        return f"ssh: {printable(config.user)!r} is not a user name"
    return None


def explain(config: SshConfig, result: CommandResult, limit_s: float) -> str:
    """A clause for a person: what ssh's failure means, and what to do."""
    place = f"ssh {config.destination}"
    if result.exit_code is None:
        return f"{place}: no connection within {limit_s:g} s"
    if result.exit_code == 127:
        return f"{place}: the program ssh is not installed here"
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    text = " ".join(lines)
    for words, meaning in _MEANINGS:
        if words in text:
            return f"{place}: {meaning.format(host=config.destination)} ({_said(lines, words)})"
    return f"{place}: {printable(lines[-1])[:300] if lines else f'exit code {result.exit_code}'}"


def _said(lines: list[str], words: str) -> str:
    line = next((line for line in lines if words in line), lines[-1])
    return printable(line.strip("@ "))[:200]
