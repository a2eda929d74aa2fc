"""A page for each command, from what the command itself says. Commands come from `list_commands`, as click loads them."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

import click
from click_man.man import ManPage

from manual import roff
from manual.main_page import main_sections
from pgops import __version__, plugins
from pgops.cli.root import OWN, root
from pgops_health.checks import CHECKS
from pgops_lab.incidents import INCIDENTS

_MORE = {
    "pgops-health": roff.section("CHECKS", roff.definitions((each.name, f"{each.summary}.") for each in CHECKS)),
    "pgops-lab-break": roff.section(
        "INCIDENTS", roff.definitions((each.name, f"{each.summary}.") for each in INCIDENTS.values())
    ),
}


def command_pages() -> dict[str, str]:
    """File name -> text, for pgops and every command below it."""
    return {f"{_page_name(ctx)}.1": _render(ctx) for ctx in contexts(click.Context(root, info_name="pgops"))}


def contexts(ctx: click.Context) -> Iterator[click.Context]:
    """This command and all below it, each in a context with its full path."""
    yield ctx
    for name, command in _subcommands(ctx):
        yield from contexts(click.Context(command, info_name=name, parent=ctx))


def _subcommands(ctx: click.Context) -> list[tuple[str, click.Command]]:
    group = ctx.command
    if not isinstance(group, click.Group):
        return []
    names = group.list_commands(ctx) if ctx.parent else _own_commands()
    found = [(name, group.get_command(ctx, name)) for name in names]
    return [(name, command) for name, command in found if command is not None and not command.hidden]


def _own_commands() -> list[str]:
    """The suite's own: a stranger's plugin that is installed here brings its own pages."""
    own = [found.plugin for found in plugins.discover() if found.plugin and found.origin == "pgops"]
    return sorted([*(each.name for each in OWN), *(command.name for plugin in own for command in plugin.commands)])


def _page_name(ctx: click.Context) -> str:
    return ctx.command_path.replace(" ", "-")


def _render(ctx: click.Context) -> str:
    page = ManPage(_page_name(ctx))
    page.date = ""  # a page is the same whenever it was made
    page.version = f"pgops {__version__}"
    page.short_help = roff.escape(_summary(ctx.command))
    page.synopsis = " ".join(ctx.command.collect_usage_pieces(ctx))
    page.description = roff.running(_description(ctx.command))
    page.options = [_option(ctx, parameter) for parameter in ctx.command.params if isinstance(parameter, click.Option)]
    text = str(page).replace(f".B {page.command}\n", f".B {ctx.command_path}\n", 1)
    more = _MORE.get(page.command, "")
    return text + _commands(ctx) + more + (main_sections() if ctx.parent is None else _see_also(ctx))


def _description(command: click.Command) -> str:
    return cleandoc(command.help or "")


def _summary(command: click.Command) -> str:
    """The first sentence."""
    return " ".join(_description(command).partition("\n\n")[0].split()).partition(". ")[0].rstrip(".")


def _option(ctx: click.Context, option: click.Option) -> tuple[str, str]:
    names, text = option.get_help_record(ctx) or ("", "")
    # All the option's names are bold, which the page does with the first word only.
    *short, rest = names.split(", ")
    return "\\~".join([*(f"{name}," for name in short), rest]), roff.running(text)


def _commands(ctx: click.Context) -> str:
    rows = [(name, f"{_summary(command)}. See `{_page_name(ctx)}-{name}`(1).") for name, command in _subcommands(ctx)]
    return roff.section("COMMANDS", roff.definitions(rows)) if rows else ""


def _see_also(ctx: click.Context) -> str:
    pages = [f"`{_page_name(ctx.parent)}`(1)" if ctx.parent else "", "`pgops.yml`(5)"]
    text = f"{', '.join(pages)}. FILES, ENVIRONMENT and EXIT STATUS stand in `pgops`(1)."
    return roff.section("SEE ALSO", roff.paragraphs(text))
