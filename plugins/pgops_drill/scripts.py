"""The constant sh scripts of a drill. Data reaches them as positional arguments alone; none of them prints an option.

Each runs as a job of the owner of PostgreSQL's files, and what it prints is evidence: `word value` lines for machines, or
one sentence that says why it failed. Sources: pgBackRest's configuration reference (sections, `config-include-path`, whose
default is not read where `--config` is given); PostgreSQL, src/bin/pg_controldata; GNU coreutils, find and awk.
"""

from __future__ import annotations

MARKER = ".pgops-drill"
"""The file in the scratch directory that says which run made it; only that run removes it."""

_FAIL = """
fail() { echo "$1" >&2; exit 74; }
export LC_ALL=C PGDATABASE=template1
"""

PREPARE = (
    _FAIL
    + f"marker={MARKER}\n"
    + r"""
scratch=$1 production=$2 config=$3 stanza=$4 need=$5 run=$6
shift 6
umask 077
base=${scratch%/*}
[ -d "$base" ] || mkdir -- "$base" || exit 74
[ ! -L "$base" ] || fail "$base is a symbolic link"
base=$(cd -P -- "$base" && pwd -P) || exit 74
case $(stat -c '%A' -- "$base") in
    d???????w[tT] | d???????-?) ;;
    *) fail "$base can be written by anybody" ;;
esac
# Nothing may come to lie where production's own files are, or where Patroni would remove it with them.
for place in "$production" "$production/pg_wal" "$production"/pg_tblspc/*; do
    place=$(cd -P -- "$place" 2>/dev/null && pwd -P) || continue
    case $base/ in "$place"/*) fail "$base lies inside $place, which is production's" ;; esac
done
free=$(df --block-size=1 --output=avail -- "$base" | tail -n 1) || exit 74
free=$((free))
[ "$free" -ge "$need" ] || fail "too little room: $free bytes are free in $base, and the restore needs $need"
for program; do
    command -v -- "$program" >/dev/null || fail "there is no program $program; see hosts.NAME.bin_dir in pgops.yml"
done
mkdir -- "$scratch" || exit 74
printf '%s\n' "$run" >"$scratch/$marker" && sync -- "$scratch/$marker" "$scratch" || exit 74
cd -P -- "$scratch" && mkdir data run log lock spool ts || exit 74
echo 'local all all trust' >pg_hba.conf && : >pg_ident.conf && : >postgresql.conf || exit 74
if [ "$config" = - ]; then
    set -- /etc/pgbackrest/pgbackrest.conf
    [ -e "$1" ] || set -- /etc/pgbackrest.conf
    for part in /etc/pgbackrest/conf.d/*.conf; do [ ! -e "$part" ] || set -- "$@" "$part"; done
else
    set -- "$config"
fi
[ -r "$1" ] || fail "pgBackRest's configuration $1 cannot be read"
STANZA=$stanza awk '
    function has(list, word) { return index(" " list " ", " " word " ") > 0 }
    BEGIN {
        stanza = ENVIRON["STANZA"]
        commands = "restore archive-get"
        kept = "process-max io-timeout protocol-timeout buffer-size compress-level-network cmd cmd-ssh job-retry"
    }
    /^[ \t]*\[/ {
        section = $0
        gsub(/^[ \t]*\[|\][ \t\r]*$/, "", section)
        command = section
        ours = sub(/^[^:]*:/, "", command) ? has(commands, command) : 1
        name = section
        sub(/:.*/, "", name)
        ours = ours && (name == "global" || name == stanza)
        next
    }
    ours && /^[ \t]*[a-z0-9-]+[ \t]*=/ {
        key = $0
        sub(/[ \t]*=.*/, "", key)
        gsub(/[ \t]/, "", key)
        if (key !~ /^(repo|sck-|tcp-)/ && !has(kept, key)) next
        if (section != shown) { print "[" section "]"; shown = section }
        print
    }
' "$@" >pgbackrest.conf || fail "pgBackRest's configuration could not be copied"
grep -q '^[ ]*repo' pgbackrest.conf || fail "no repository is configured in $1"
printf '[global]\nlock-path=%s\nspool-path=%s\nlog-path=%s\narchive-async=n\n[%s]\npg1-path=%s\n' \
    "$scratch/lock" "$scratch/spool" "$scratch/log" "$stanza" "$scratch/data" >>pgbackrest.conf || exit 74
echo "free_bytes $free"
"""
)
"""Arguments: the scratch directory, production's data directory, pgBackRest's configuration file (`-`: the usual places),
the stanza, the bytes that are needed, the run, and the programs that later jobs call."""

START = r"""
export LC_ALL=C
data=$1 controldata=$2
shift 2
control=$("$controldata" -D "$data") || exit 74
setting() { printf '%s\n' "$control" | sed -n "s/^$1 setting: *//p"; }
exec "$@" -c "max_connections=$(setting max_connections)" -c "max_worker_processes=$(setting max_worker_processes)" \
    -c "max_wal_senders=$(setting max_wal_senders)" -c "max_prepared_transactions=$(setting max_prepared_xacts)" \
    -c "max_locks_per_transaction=$(setting max_locks_per_xact)"
"""
"""Arguments: the data directory, pg_controldata, and the command line of postgres, which gets the sizes that WAL needs."""

REPLAY = (
    _FAIL
    + r"""
data=$1 log=$2
shift 2
[ -s "$data/global/pg_control" ] || fail "there is nothing to start: the restore left no control file"
seen= waits=0
until [ "$("$@" -c 'select pg_is_in_recovery()' 2>/dev/null)" = f ]; do
    if [ -e "$data/postmaster.pid" ]; then
        seen=yes
    elif [ -n "$seen" ] || [ "$waits" -gt 50 ]; then
        said=$(grep -E '(FATAL|PANIC): ' "$log" 2>/dev/null | tail -n 1 | sed 's,^.*\(FATAL: \|PANIC: \) *,\1,')
        fail "PostgreSQL did not come up: ${said:-it wrote no reason}"
    fi
    waits=$((waits + 1))
    sleep 0.2
done
for words in 'starting PostgreSQL' 'redo starts at' 'consistent recovery state reached' 'recovery stopping' \
    'redo done at' 'redo is not required' 'last completed transaction' 'selected new timeline' 'ready to accept'; do
    grep -m 1 -F "$words" "$log" | cut -c 1-300
done
echo "fetched_count $(grep -c 'restored log file' "$log")"
"""
)
"""Arguments: the data directory, PostgreSQL's log, and psql with its options."""

LOOK = (
    _FAIL  # noqa: S608 - constant statements
    + r"""
ask() { "$@" || fail "it cannot be asked"; }
ask "$@" -c "select 'system_identifier ' || system_identifier from pg_control_system()"
ask "$@" -c "select 'archive_mode ' || current_setting('archive_mode')"
ask "$@" -c "select 'size_bytes ' || sum(pg_database_size(oid)) from pg_database"
names=$(ask "$@" -c 'select datname from pg_database where datallowconn and not datistemplate') || exit 74
databases=0 tables=0
while IFS= read -r name; do
    [ -n "$name" ] || continue
    count=$(PGDATABASE=$name "$@" -c "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'") ||
        fail "the database $name cannot be read"
    databases=$((databases + 1)) tables=$((tables + count))
done <<END
$names
END
echo "databases $databases"
echo "tables $tables"
"""
)
"""Arguments: psql with its options."""

ASSERT = (
    _FAIL
    + r"""
scratch=$1 count=$2 database=$3
shift 3
umask 077
at=1 failed=0
while [ "$at" -le "$count" ]; do
    awk -v at="$at" '/^-- pgops-assertion [0-9]+$/ { on = ($3 == at); next } on' "$scratch/assertions.sql" \
        >"$scratch/assertion.sql" || exit 74
    said=$(PGOPTIONS='-c default_transaction_read_only=on' PGDATABASE=$database "$@" -f "$scratch/assertion.sql" 2>&1)
    if [ $? -ne 0 ] || [ "$said" != t ]; then
        failed=$((failed + 1))
        printf 'assertion %s %s\n' "$at" "$(printf '%s' "$said" | sed 's/^psql:[^ ]* *//' | tr -s '\n\t ' ' ' | cut -c 1-200)"
    fi
    at=$((at + 1))
done
echo "failed $failed"
[ "$failed" -eq 0 ]
"""
)
"""Arguments: the scratch directory, how many assertions there are, the database, and psql with its options."""

REMOVE = (
    _FAIL
    + f"marker={MARKER}\n"
    + r"""
scratch=$1 run=$2
[ -e "$scratch" ] || [ -L "$scratch" ] || { echo "it is not there"; exit 0; }
[ ! -L "$scratch" ] && [ -d "$scratch" ] || fail "$scratch is not a directory"
[ "$(stat -c %u -- "$scratch")" = "$(id -u)" ] || fail "$scratch is not ours"
! rmdir -- "$scratch" 2>/dev/null || exit 0
cd -P -- "$scratch" || exit 74
[ -f "$marker" ] && [ ! -L "$marker" ] && read -r found <"$marker" || fail "$scratch has no marker: pgops did not make it"
[ "$found" = "$run" ] || fail "$scratch was made by the run $found"
if [ -e data/postmaster.pid ] && read -r pid <data/postmaster.pid && kill -0 "$pid" 2>/dev/null; then
    fail "a PostgreSQL runs there: process $pid"
fi
find . -mindepth 1 -maxdepth 1 ! -name "$marker" -exec rm -rf --one-file-system -- {} + || exit 74
[ "$(find . -mindepth 1 -maxdepth 1)" = "./$marker" ] || fail "not all of $scratch could be removed"
cd / && rm -f -- "$scratch/$marker" && rmdir -- "$scratch" || exit 74
"""
)
"""Arguments: the scratch directory and the run. The marker goes last, so that what is cut off can be repeated."""
