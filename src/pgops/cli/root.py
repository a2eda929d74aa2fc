"""The root command group. Subcommands come from plugins and are loaded when they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pgops import __version__, plugins
from pgops.cli.context import config_option
from pgops.errors import PgopsError
from pgops.plugin import Command
from pgops.render.text import printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


OWN = (
    Command("plugins", "pgops.cli.plugins_command:plugins_group", "Which plugins there are, and which are broken."),
    Command("apply", "pgops.cli.apply_command:apply", "Run a plan that was saved, if it still fits the cluster."),
    Command(
        "runs", "pgops.cli.runs_command:runs_group", "The runs of pgops: see them, continue or abort an unfinished one."
    ),
)
"""The commands of pgops itself, beside those of plugins."""


class PluginGroup(click.Group):
    """A group whose subcommands are those of the plugins; listing them loads none."""

    def specs(self) -> dict[str, Command]:
        """The commands that plugins give, by name, and those of pgops itself."""
        return {c.name: c for c in (*OWN, *(c for plugin in plugins.usable() for c in plugin.commands))}

    def broken(self) -> dict[str, plugins.Found]:
        """The plugins that could not be used, by name."""
        taken = self.specs()
        return {found.name: found for found in plugins.discover() if found.fault and found.name not in taken}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*self.specs(), *self.broken()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        spec = self.specs().get(cmd_name)
        if spec is not None:
            try:
                command = plugins.resolve(spec.target)
            except Exception as error:  # a stranger's command may raise anything at import
                return _placeholder(cmd_name, f"{type(error).__name__}: {error}")
            if isinstance(command, click.Command):
                return command
            return _placeholder(cmd_name, f"{spec.target} is not a click command")
        found = self.broken().get(cmd_name)
        return _placeholder(cmd_name, found.fault or "") if found else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it; for a word that is no command, with the nearest one."""
        word = args[0]
        if ctx.resilient_parsing or word.startswith("-") or word in self.list_commands(ctx):
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches

        near = get_close_matches(word, self.list_commands(ctx), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"No such command {word!r}.{hint}", ctx)

    def summaries(self) -> list[tuple[str, str]]:
        """Each command and its line in `--help`; no plugin's command is imported for it."""
        rows = {name: spec.summary for name, spec in self.specs().items()}
        rows |= {name: f"(broken plugin: {printable(found.fault or '')})" for name, found in self.broken().items()}
        return sorted(rows.items())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl(self.summaries())

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands and options at TAB; click itself would import every command for its summary."""
        from click.shell_completion import CompletionItem

        commands = [CompletionItem(name, help=text) for name, text in self.summaries() if name.startswith(incomplete)]
        return commands + click.Command.shell_complete(self, ctx, incomplete)


def _placeholder(name: str, reason: str) -> click.Command:
    fault = printable(reason)

    def refuse(**_: Any) -> None:
        raise PgopsError(f"the plugin {name} is broken", why=fault, next_step="pgops plugins list")

    return click.Command(
        name,
        callback=refuse,
        short_help=f"(broken plugin: {fault})",
        help=f"This plugin is broken: {fault}",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@click.group(
    cls=PluginGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 stopped midway, 5 unreachable, 6 plan no longer fits, "
    "7 locked, 8 outcome unknown, 130 interrupted. `health` speaks Nagios: 0, 1, 2, 3.",
)
@click.version_option(__version__, "-V", "--version", message="pgops %(version)s")
@config_option
def root() -> None:
    """Run the runbook of a PostgreSQL cluster kept by Patroni."""
