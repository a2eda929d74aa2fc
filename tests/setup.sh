#!/usr/bin/env bash
# Makes this machine ready: system packages (apt), a virtual environment in .venv, pgops in it. Safe to run again: what is
# there already is left alone. Usage: tests/setup.sh [EXTRA...]   (extras of pyproject.toml; default: lab)
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(python3 python3-venv postgresql etcd-server etcd-client pgbackrest haproxy)
if [[ " $* " == *" dev "* ]]; then
    packages+=(openssh-client openssh-server openssl sudo faketime debootstrap systemd-container iproute2 man-db)
fi

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
    command -v apt-get >/dev/null || { echo "setup: no apt-get here; install ${missing[*]} yourself" >&2; exit 1; }
    echo "setup: installing ${missing[*]}"
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

# The system's own Python first: a lab run by root drops to the postgres user, who cannot read one under /root.
python=
for candidate in /usr/bin/python3 python3; do
    if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "setup: pgops needs Python 3.10 or newer" >&2; exit 1; }

[ -x .venv/bin/python ] || "$python" -m venv .venv
extras=$(IFS=,; echo "${*:-lab}")
.venv/bin/pip install --quiet --disable-pip-version-check --editable ".[$extras]"
echo "setup: $(.venv/bin/pgops --version) is in .venv/bin"
