"""What the source files import, read from their syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
CORE = ROOT / "src"
PLUGINS = ROOT / "plugins"


@dataclass(frozen=True)
class Import:
    """One imported module. `late`: inside a function; `typing`: only a type checker sees it."""

    importer: str
    module: str
    late: bool
    typing: bool

    @property
    def package(self) -> str:
        """The top-level package that is imported."""
        return self.module.partition(".")[0]


def files() -> list[Path]:
    """Every module of the core and of the plugins, without the programs that are shipped to hosts as text."""
    return sorted(path for top in (CORE, PLUGINS) for path in top.rglob("*.py") if path.parent.name != "remote")


def module_name(path: Path) -> str:
    """`src/pgops/cli/run.py` -> `pgops.cli.run`."""
    top = CORE if path.is_relative_to(CORE) else PLUGINS
    return ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module; `from a import b` counts as `a`, and as `a.b` where that is a module of ours."""
    names = {module_name(path) for path in files()}
    found = []
    for path in files():
        name = module_name(path)
        for node, late, typing in _walk(ast.parse(path.read_text("utf-8")), late=False, typing=False):
            for module in _modules(node, names):
                found.append(Import(name, module, late, typing))
    return tuple(found)


def _walk(node: ast.AST, *, late: bool, typing: bool) -> Iterator[tuple[ast.AST, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, late, typing
        inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = typing or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
        yield from _walk(child, late=inside, typing=checking)


def _modules(node: ast.AST, ours: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module, "imports are absolute here"
        parts = [f"{node.module}.{alias.name}" for alias in node.names]
        modules = [part for part in parts if part in ours]
        yield from modules
        if len(modules) < len(parts):
            yield node.module
