"""What pgops(1) has beside its options and commands."""

from __future__ import annotations

from manual import roff
from pgops.config.search import DEBIAN_FILES, SYSTEM_FILE
from pgops.errors import ExitCode
from pgops.plugins import SITE_DIRECTORY

_MEANINGS = {
    ExitCode.DONE: "Done, or there was nothing to do.",
    ExitCode.FAILED: "Failed, or a bug of pgops.",
    ExitCode.USAGE: "Wrong usage, or a wrong configuration.",
    ExitCode.REFUSED: "Refused or declined; nothing was done.",
    ExitCode.STOPPED_MIDWAY: "Stopped midway; the run's id was printed.",
    ExitCode.UNREACHABLE: "Something that the command cannot do without gave no answer.",
    ExitCode.PLAN_STALE: "The plan no longer fits the cluster.",
    ExitCode.LOCKED: "Locked by another operation.",
    ExitCode.OUTCOME_UNKNOWN: "The outcome is unknown.",
    ExitCode.INTERRUPTED: "Interrupted by Ctrl-C.",
}

_FILES = (
    ("~/.config/pgops/pgops.yml", "The user's own configuration; under XDG_CONFIG_HOME where that is set."),
    (SYSTEM_FILE, "The machine's configuration. See `pgops.yml`(5)."),
    (
        ", ".join(DEBIAN_FILES),
        "Patroni's own configuration, read where there is no pgops.yml. ~/.config/patroni/patronictl.yaml comes before.",
    ),
    (
        f"{SITE_DIRECTORY}/*.py",
        "Plugins of one file. One that somebody else than root or the user could have written is not run: neither the "
        "file nor a directory above it may be writable by others.",
    ),
    (
        "/var/lib/pgops/runs, ~/.local/state/pgops/runs",
        "Journals of runs that acted: of root, and of any other user (under XDG_STATE_HOME where that is set). Owner-only; a "
        "place that others could have a hand in is refused.",
    ),
    (
        "/var/lib/pgops-lab, ~/.local/share/pgops/lab",
        "Practice clusters of `pgops lab`: of root, and of any other user.",
    ),
)

_ENVIRONMENT = (
    ("PGOPS_CONFIG", "The configuration, where -c/--config is not given."),
    ("PGOPS_PLUGIN_DIR", f"Plugins of one file are read from here instead of {SITE_DIRECTORY}."),
    ("PGOPS_STATE_DIR", "Where journals of runs are kept, in a directory runs below it."),
    ("SUDO_USER", "Who ran pgops, where it runs as root by sudo; it stands in journals, records and logs."),
    ("PGOPS_LAB_HOME", "Where `pgops lab` keeps its clusters."),
    ("PGOPS_DEBUG", "Any value: a bug of pgops shows its traceback, which may hold configured values."),
    (
        "PATRONICTL_CONFIG_FILE, PATRONI_*",
        "As Patroni reads them. They count only where the configuration is Patroni's; a pgops.yml they do not touch.",
    ),
    ("PGPASSFILE, PGSSLROOTCERT and the like", "As libpq reads them, where the configuration does not say it."),
    ("NO_COLOR", "Any value: no colours. There are none anyway where the output is no terminal or TERM is dumb."),
    ("COLUMNS", "How wide a table may be where the output is no terminal."),
)

_EXAMPLES = (
    ("What is wrong with the clusters of the configuration?", "pgops health"),
    (
        "The same from Patroni's own configuration, on a database host:",
        "sudo -u postgres pgops -c /etc/patroni/config.yml health",
    ),
    ("A look within a fraction of a second, repeated:", "pgops health --quick --watch 2"),
    (
        "Before work on a node, with the plan first; and after it:",
        'pgops pause --reason "kernel update" --expires 2h --dry-run\npgops pause --reason "kernel update" --expires 2h\n'
        "pgops resume",
    ),
    ("A run that broke off:", "pgops runs list\npgops runs continue 20261123-0412-k7f3m2"),
    ("After an incident: do members that look well really hold the same WAL?", "pgops health --deep"),
    ("As a check of Nagios or Icinga:", "pgops -c /etc/pgops/pgops.yml health --cluster demo -f nagios"),
    (
        "A practice cluster, an incident in it, and what health says:",
        "pgops lab up\nexport PGOPS_CONFIG=$(pgops lab path)\npgops lab break split-brain\n"
        "pgops health\npgops lab mend\npgops lab down",
    ),
    (
        "Completion in bash, zsh and fish:",
        "cp completions/pgops.bash /etc/bash_completion.d/pgops\n"
        "cp completions/_pgops /usr/local/share/zsh/site-functions/\n"
        "cp completions/pgops.fish ~/.config/fish/completions/",
    ),
)


def main_sections() -> str:
    """FILES, ENVIRONMENT, EXIT STATUS, EXAMPLES and SEE ALSO."""
    exits = [(str(code.value), meaning) for code, meaning in _MEANINGS.items()]
    nagios = (
        "`pgops health` alone speaks Nagios: 0 ok, 1 warning, 2 critical, 3 unknown. The worst finding counts, in the order "
        "critical, unknown, warning, ok; what was skipped does not count. Any fault of pgops itself, wrong usage included, "
        "is 3 there."
    )
    examples = [part for text, lines in _EXAMPLES for part in (roff.paragraphs(text), roff.verbatim(lines))]
    return (
        roff.section("FILES", roff.definitions(_FILES))
        + roff.section("ENVIRONMENT", roff.definitions(_ENVIRONMENT))
        + roff.section("EXIT STATUS", roff.definitions(exits), roff.paragraphs(nagios))
        + roff.section("EXAMPLES", *examples)
        + roff.section("SEE ALSO", roff.paragraphs("`pgops.yml`(5), `patronictl`(1), `ssh_config`(5), `sudoers`(5)"))
    )
