"""Programs of the core that are shipped to hosts stand alone there, on the oldest Python that Patroni's hosts have."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pgops.hosts.remote
from pgops.hosts.programs import command_of, source_of

NAMES = sorted(path.stem for path in Path(str(pgops.hosts.remote.__file__)).parent.glob("[a-z]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_it_stands_alone(name: str) -> None:
    source = source_of(f"pgops.hosts.remote.{name}")
    compile(source, name, "exec")
    tree = ast.parse(source, feature_version=(3, 9))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [item.name for node in ast.walk(tree) if isinstance(node, ast.Import) for item in node.names]
    assert not [each for each in imported if each.startswith("pgops")]
    defined = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert len(defined) == len(set(defined)), "one of its neighbours defines the same"


def test_the_wish_is_its_one_argument() -> None:
    argv = command_of("pgops.hosts.remote.folder", {"b": 1, "a": "x"})
    assert argv[:3] == ("python3", "-I", "-c") and argv[4:] == ('{"a": "x", "b": 1}',)
    with pytest.raises(ModuleNotFoundError):
        source_of("pgops.no_such_package.remote.x")
