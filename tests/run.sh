#!/usr/bin/env bash
# Passes the tests: set-up, lint, types, then pytest. Arguments go to pytest. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."
tests/setup.sh lab dev
.venv/bin/ruff check src plugins tests
.venv/bin/ruff format --check src plugins tests
.venv/bin/mypy
.venv/bin/pgops lab prepare --patroni all
# Two at a time: the incidents run on two labs side by side.
exec .venv/bin/python -m pytest -n 2 --dist loadgroup "$@"
