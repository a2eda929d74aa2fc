"""Files on this machine that a pgops.yml names: where they lie, and the secrets in them."""

from __future__ import annotations

import os.path
import stat
from collections.abc import Mapping

from pgops.config.file_text import read_file
from pgops.config.section import Section
from pgops.config.words import refuse_text
from pgops.errors import ConfigError
from pgops.secrets import Secret

_PASSWORD_LIMIT_BYTES = 4096


class LocalFiles:
    """Resolves paths as written: `~/` is the home directory, a relative path begins beside the configuration file."""

    def __init__(self, configuration: str, environ: Mapping[str, str]) -> None:
        self._directory = os.path.dirname(os.path.abspath(configuration))  # noqa: PTH100, PTH120 - keeps symlinks
        self.environ = environ

    def resolve(self, text: str) -> str:
        """The absolute path."""
        home = self.environ.get("HOME")
        if text.startswith("~/") and home:
            text = os.path.join(home, text[2:])  # noqa: PTH118 - text in, text out
        return os.path.normpath(os.path.join(self._directory, text))  # noqa: PTH118 - text in, text out

    def path(self, section: Section, key: str) -> str | None:
        """The path under this key, resolved."""
        text = section.text(key, refuse_text)
        return None if text is None else self.resolve(text)

    def secret(self, section: Section, key: str = "password") -> Secret | None:
        """The secret under `key`, or the first line of the file under `{key}_file`; both is a fault."""
        given, file = section.secret(key), self.path(section, f"{key}_file")
        if file is None:
            return given
        node = section.table.entries[f"{key}_file"]
        if given is not None:
            section.faults.at(node, f"{key} is given as well; keep one of them")
            return None
        try:
            text = read_file(file, limit_bytes=_PASSWORD_LIMIT_BYTES)
        except ConfigError as error:
            section.faults.at(node, f"the file cannot be read: {error.why}")
            return None
        if text.mode & stat.S_IROTH:
            section.faults.at(node, f"everybody may read the file (mode {text.mode:04o}); chmod o-r it")
            return None
        try:
            line = text.content.decode("utf-8").partition("\n")[0].rstrip("\r")
        except UnicodeDecodeError:
            line = ""
        if not line or "\0" in line:
            section.faults.at(node, "the file's first line is no password")
            return None
        return Secret(line)
