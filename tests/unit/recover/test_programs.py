"""What is shipped to hosts stands alone there, on the oldest Python that Patroni's hosts have."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pgops_recover.remote
from pgops_recover.programs import argv_of, source_of

NAMES = sorted(path.stem for path in Path(str(pgops_recover.remote.__file__)).parent.glob("[a-z]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_it_stands_alone(name: str) -> None:
    tree = ast.parse(source_of(name), feature_version=(3, 9))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [item.name for node in ast.walk(tree) if isinstance(node, ast.Import) for item in node.names]
    assert not [each for each in imported if each.startswith("pgops")]


@pytest.mark.parametrize("name", ["rows", "rebuild"])
def test_what_it_shares_stands_before_it(name: str) -> None:
    compile(source_of(name), name, "exec")  # a future statement that is not at the top would be refused
    *_, source, wish = argv_of(name, {"keep": "/x"})
    assert "def opened(" in source and source.endswith("sys.exit(main(sys.argv[1:]))\n") and wish == '{"keep": "/x"}'


@pytest.mark.parametrize("name", ["account", "lift", "rows", "rebuild"])
def test_it_defines_nothing_that_its_neighbour_defines(name: str) -> None:
    tree = ast.parse(source_of(name))
    defined = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assigned = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
    defined += [target.id for target in assigned if isinstance(target, ast.Name)]
    assert len(defined) == len(set(defined))
