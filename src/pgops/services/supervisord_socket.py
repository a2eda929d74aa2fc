"""supervisord's XML-RPC over its unix socket, with the standard library."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from configparser import Error as IniError
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

from pgops.hosts.host import HostFault


class NotOurs(Exception):
    """We may not read the configuration or open the socket, or the socket is not a unix socket."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class SocketTransport(xmlrpc.client.Transport):
    """XML-RPC over the unix socket at `path`; `login` is (user, password) where supervisord wants one."""

    def __init__(self, path: str, timeout_s: float, login: tuple[str, str] | None = None) -> None:
        super().__init__(headers=[("Authorization", _basic(*login))] if login else [])
        self._path = path
        self._timeout_s = timeout_s

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return _Connection(self._path, self._timeout_s)


def ask_processes(config_file: str, *, timeout_s: float) -> dict[str, tuple[str, int | None, int | None]]:
    """Program (`group:name` where they differ) -> (state, pid or None, end of its last process since the epoch or None).

    Raises `NotOurs`, `HostFault`.
    """
    path, login = _read_socket(config_file)
    server: Any = xmlrpc.client.ServerProxy("http://localhost", transport=SocketTransport(path, timeout_s, login))
    try:
        processes = server.supervisor.getAllProcessInfo()
    except PermissionError:
        raise NotOurs from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise HostFault(f"supervisord does not run: nobody answers at {path}") from None
    except TimeoutError:
        raise HostFault(f"supervisord gave no answer within {timeout_s:g} s at {path}") from None
    except (OSError, xmlrpc.client.Error, http.client.HTTPException) as error:
        raise HostFault(f"supervisord at {path}: {type(error).__name__}") from None
    found = {}
    for process in processes:
        name, group = str(process["name"]), str(process["group"])
        full = name if name == group else f"{group}:{name}"
        found[full] = (str(process["statename"]), int(process["pid"]) or None, int(process["stop"]) or None)
    return found


def _read_socket(config_file: str) -> tuple[str, tuple[str, str] | None]:
    """The socket's path and the login for it, from supervisord.conf."""
    parser = RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        parser.read_string(Path(config_file).read_text("utf-8"))
    except PermissionError:
        raise NotOurs from None
    except (OSError, UnicodeDecodeError) as error:
        raise HostFault(f"{config_file}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    except IniError:
        raise HostFault(f"{config_file}: not a supervisord configuration") from None
    here = str(Path(config_file).resolve().parent)
    path = parser.get("unix_http_server", "file", fallback="").replace("%(here)s", here)
    if not path:
        raise NotOurs
    username = parser.get("unix_http_server", "username", fallback=None)
    password = parser.get("unix_http_server", "password", fallback="")
    return path, (username, password) if username else None


def _basic(username: str, password: str) -> str:
    from base64 import b64encode

    return "Basic " + b64encode(f"{username}:{password}".encode()).decode("ascii")
