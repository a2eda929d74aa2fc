"""Runs the command line and turns whatever happened into an exit code and, where it went wrong, a few clear lines."""

from __future__ import annotations

import errno
import os

import click

from pgops import plugins
from pgops.cli import interrupts, streams
from pgops.errors import NAGIOS_UNKNOWN, ExitCode, PgopsError
from pgops.render.text import printable

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def run(arguments: list[str]) -> int:
    """Run pgops with these arguments and return its exit code. Never raises.

    Output that could not be written was not delivered: that is a fault, and never the code of the answer in it.
    """
    streams.prepare()
    try:
        return _run(arguments)
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return ExitCode.INTERRUPTED
    except SystemExit as ended:  # click's own end of a completion (0), and where the reader of its output is gone (1)
        code = ended.code if isinstance(ended.code, int) else ExitCode.FAILED
        return _fault_code(arguments, code) if ended.code else ExitCode.DONE
    except BrokenPipeError:  # the reader went away (`| head`), which needs no word
        streams.abandon_output()
        return _fault_code(arguments, ExitCode.FAILED)


def _run(arguments: list[str]) -> int:
    from pgops.cli.root import root

    try:
        code = root.main(args=arguments, prog_name="pgops", standalone_mode=False)
        streams.flush_output()
        return code if isinstance(code, int) else ExitCode.DONE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return _fault_code(arguments, ExitCode.USAGE)
    except click.UsageError as error:
        _say(error.format_message())
        usage = error.ctx.command_path if error.ctx else "pgops"
        click.echo(f"  next: {usage} --help", err=True)
        return _fault_code(arguments, ExitCode.USAGE)
    except click.ClickException as error:
        _say(error.format_message())
        return _fault_code(arguments, ExitCode.FAILED)
    except PgopsError as error:
        tell(error)
        return _fault_code(arguments, error.exit_code)
    except (BrokenPipeError, click.Abort):
        raise
    except Exception as error:
        interrupts.check()  # an import that was interrupted may raise whatever it likes, such as RuntimeError of its lock
        return _fault_code(arguments, _tell_unforeseen(error))


def _tell_unforeseen(error: Exception) -> ExitCode:
    """Tell an error that nobody raised on purpose: output that found no room, else a bug."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM and error.filename is None:
        streams.abandon_output()
        tell(PgopsError("the output could not be written", why=error.strerror))
        return ExitCode.FAILED
    if os.environ.get("PGOPS_DEBUG"):
        import traceback

        traceback.print_exc()
    _say(f"a bug in pgops: {type(error).__name__}")
    click.echo("  next: run it again with PGOPS_DEBUG=1 and report the traceback", err=True)
    return ExitCode.FAILED


def tell(error: PgopsError) -> None:
    """Print a fault to standard error: what, where, why, next."""
    _say(error.what)
    for label, text in (("where", error.where), ("why", error.why), ("next", error.next_step)):
        for number, line in enumerate((text or "").splitlines()):
            click.echo(f"  {label + ':' if number == 0 else '':6} {printable(line)}", err=True)


def _say(text: str) -> None:
    click.echo(f"pgops: {printable(text)}", err=True)


def _fault_code(arguments: list[str], code: int) -> int:
    """The exit code of a fault: 3 under a command that speaks Nagios, whatever the fault."""
    names = {command.name for plugin in plugins.usable() for command in plugin.commands if command.speaks_nagios}
    return NAGIOS_UNKNOWN if names.intersection(_first_words(arguments)) else code


def _first_words(arguments: list[str]) -> list[str]:
    """The word that names the subcommand: the first that is neither an option nor the value of `-c`."""
    words = iter(arguments)
    for word in words:
        if word in ("-c", "--config"):
            next(words, None)
        elif not word.startswith("-"):
            return [word]
    return []
