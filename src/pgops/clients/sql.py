"""SQL connections: the only module that imports psycopg."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgops.config.model import SqlConfig, Timeouts
from pgops.render.text import printable


class SqlFault(Exception):
    """The server gave no usable answer. `kind`: `unreachable`, `login`, `right` (privilege missing) or `other`."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class SqlSession:
    """One session with a statement timeout, read-only unless `writes`. Every statement is its own transaction.

    `default_transaction_read_only` is a guard against our own mistakes, not against an attacker.
    """

    def __init__(
        self,
        host: str,
        port: int,
        config: SqlConfig,
        timeouts: Timeouts,
        *,
        pooled: bool = False,
        writes: bool = False,
    ) -> None:
        """Connect. `pooled` sends no settings along: PgBouncer refuses a client that does. Raises `SqlFault`."""
        import psycopg

        milliseconds = int(timeouts.answer_s * 1000)
        settings = (
            f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} "
            f"-c default_transaction_read_only={'off' if writes else 'on'} -c idle_in_transaction_session_timeout=60000"
        )
        try:
            self._connection = psycopg.connect(
                **_parameters(config),
                host=host,
                port=port,
                # libpq takes whole seconds and raises 1 to 2; PostgreSQL docs, libpq-connect, connect_timeout
                connect_timeout=max(2, round(timeouts.connect_s)),
                application_name="pgops",
                options="" if pooled else settings,
                # a peer that vanishes in mid-answer must not hold us for TCP's own two hours
                tcp_user_timeout=milliseconds,
                autocommit=True,
                prepare_threshold=None,
            )
        except psycopg.Error as error:
            raise SqlFault(_connect_kind(str(error)), _one_line(error)) from None
        except ValueError:  # from the codec of host names, which quotes what it was given
            raise SqlFault("unreachable", "its address is not a host name") from None

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement. Raises `SqlFault`."""
        import psycopg

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement.encode(), parameters or None)
                return cursor.fetchall()
        except psycopg.errors.InsufficientPrivilege as error:
            raise SqlFault("right", f"{_one_line(error)}; GRANT pg_monitor to this role") from None
        except psycopg.Error as error:
            raise SqlFault("other", _one_line(error)) from None

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> None:
        """Run one statement for what it does. Raises `SqlFault`; kind `unreachable`: its outcome is not known."""
        import psycopg

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement.encode(), parameters or None)
        except psycopg.Error as error:
            kind = "unreachable" if self._connection.broken else "other"
            raise SqlFault(kind, _one_line(error)) from None

    def close(self) -> None:
        """End the session."""
        self._connection.close()


def _parameters(config: SqlConfig) -> dict[str, Any]:
    """libpq parameters, leaving out what was not configured so that libpq's own defaults hold."""
    given: dict[str, Any] = {
        "user": config.user,
        "password": config.password.reveal() if config.password else None,
        "dbname": config.dbname,
        "sslmode": config.sslmode,
        "sslrootcert": config.sslrootcert,
        "sslcert": config.sslcert,
        "sslkey": config.sslkey,
        "sslpassword": config.sslpassword.reveal() if config.sslpassword else None,
        "sslcrl": config.sslcrl,
        "gssencmode": config.gssencmode,
        "channel_binding": config.channel_binding,
        "passfile": config.passfile,
    }
    return {name: value for name, value in given.items() if value is not None}


def _connect_kind(message: str) -> str:
    login = (
        *("authentication", "no password supplied", "pg_hba.conf", "does not exist", "no such", "certificate"),
        *("not permitted to log in", "unsupported startup parameter", "too many", "SASL", "SSL", "starting up"),
    )
    return "login" if any(word in message for word in login) else "unreachable"


def _one_line(error: Exception) -> str:
    """The server's own sentence. libpq puts no password into its messages; line breaks become spaces."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    guesses = ("Is the server running", "This probably means", "before or while processing")
    text = " ".join(line for line in lines if not line.startswith(guesses))
    return printable(text.removeprefix("connection failed: "))[:300] or type(error).__name__
