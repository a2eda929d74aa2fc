#!/usr/bin/env bash
# From nothing to a practice cluster and its health: set-up, `pgops lab up`, `pgops health`. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/setup.sh lab
.venv/bin/pgops lab up demo
echo
.venv/bin/pgops -c "$(.venv/bin/pgops lab path demo)" health
