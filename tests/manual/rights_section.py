"""What a plain operator must be allowed, and no more. The sudoers lines are those that the tests on whole hosts use."""

from __future__ import annotations

from hosts.harness.guide import SCOPE, STANZA, Passwords, Plan
from hosts.harness.operator import HOST_USER
from hosts.harness.rights import sudoers
from manual import roff

_PLAN = Plan({}, "", "17", Passwords("", "", "", ""))
"""Only the version counts here: it says where PostgreSQL lies on Debian 13."""

_SQL = """CREATE ROLE pgops LOGIN PASSWORD '...' IN ROLE pg_monitor;
# pg_hba.conf, for every member and the proxies, by Patroni's postgresql.pg_hba:
host  postgres  pgops  10.0.0.0/24  scram-sha-256"""

_ETCD = f"""etcdctl role add pgops
etcdctl role grant-permission pgops --prefix=true read /service/{SCOPE}/
etcdctl role grant-permission pgops --prefix=true read /pgops/v1/service/{SCOPE}/
etcdctl user add pgops
etcdctl user grant-role pgops pgops"""


def rights_section() -> str:
    """The parts of RIGHTS. What a right does not reach is shown as unknown, with that reason; nothing else suffers."""
    return "".join(
        (
            roff.paragraphs(
                "pgops runs as a plain operator: it needs no root anywhere. Each of the following gives one part of what "
                "`pgops health` sees; what is not given is shown as unknown, with the reason, and hides nothing else."
            ),
            roff.subsection("Patroni's REST API", _rest()),
            roff.subsection("The DCS", _dcs()),
            roff.subsection("SQL", roff.paragraphs("A role with LOGIN and pg_monitor:"), roff.verbatim(_SQL)),
            roff.subsection("SSH", _ssh()),
            roff.subsection("sudo", _sudo()),
            roff.subsection("To act", _acting()),
            roff.subsection("HAProxy", roff.paragraphs("The statistics page, with its login where it has one.")),
        )
    )


def _acting() -> str:
    return (
        roff.paragraphs(
            "Every command that acts writes pgops's own records. With authentication in etcd the role needs, beside what it "
            "reads:"
        )
        + roff.verbatim(f"etcdctl role grant-permission pgops --prefix=true readwrite /pgops/v1/service/{SCOPE}/")
        + roff.paragraphs(
            "pause and resume need no right on any host: Patroni's REST API does it (rest.username and rest.password, and a "
            "place in restapi.allowlist, where Patroni has them).",
            "node hold, node release and backup schedule --install need root on that host, and recover split-brain on each "
            "whose Patroni it kills and starts. So do guard install and guard remove for a Patroni before 3.0.3, which they "
            "restart, and whose file may lie in a directory of root's. All else that recover and guard do there, and what "
            "salvage and copies do, is done as the owner of PostgreSQL's files. backup and drill restore run jobs of that "
            "owner; where systemd manages the host, root starts these (systemd-run). Commands on hosts pass a small shell "
            "script that refuses those of a run which another one has overtaken, so that no sudoers line can name them one "
            "by one: log in as root for these, or allow the operator all of root. From cron, pgops backup runs as root on "
            "each node, and needs no SSH there.",
            f"recover split-brain with a survivor that has not the lock removes keys of Patroni's own that the losing branch "
            f"left; with authentication in etcd it needs readwrite on /service/{SCOPE}/ as well.",
            "Where a right is missing, nothing is done, the exit code is 1, and nothing stays blocked.",
        )
    )


def _rest() -> str:
    return roff.paragraphs(
        "Only GET is used, which needs neither a password nor a place in restapi.allowlist: the list, like "
        "restapi.authentication, guards requests that change something. A firewall must let the operator's machine reach "
        "each member's REST port, and where restapi.verify_client is required every request needs a client certificate "
        "(rest.tls.cert_file, rest.tls.key_file)."
    )


def _dcs() -> str:
    return (
        roff.paragraphs(
            "etcd with authentication: a role that reads Patroni's keys of the scope, and pgops's own records of it."
        )
        + roff.verbatim(_ETCD)
        + roff.paragraphs(
            "The state of etcd's members is asked from each member's client URL, which needs no permission on keys, but must "
            "be reachable."
        )
    )


def _ssh() -> str:
    return roff.paragraphs(
        "A login with a key in the agent or in ssh_config. Host keys must be known already: an unknown one is a fault and is "
        "never accepted on the way. One connection a host and run carries all commands. `systemctl show`, `id`, `env`, `sh` "
        "and `timeout` run as that login and need no right."
    )


def _sudo() -> str:
    return (
        roff.paragraphs(
            "What belongs to PostgreSQL's user is read through `sudo -n -u postgres --`. The lines below are for a login "
            f"{HOST_USER}, PostgreSQL {_PLAN.version} in {_PLAN.data_dir}, and the stanza {STANZA}; put your own in their "
            "place. The last three serve `health --deep` alone. Every argument is spelt out, since `find` and `pgbackrest` "
            "run other programs when they are told to; the regular expressions need sudo 1.9.10 or newer (Debian 12, Ubuntu "
            "24.04)."
        )
        + roff.verbatim(sudoers(_PLAN))
        + roff.paragraphs(
            "With `pgbackrest_config` set, --config=PATH comes before --stanza. With supervisor in place of systemd: "
            "`supervisorctl -c` CONFIG `status`. Tablespaces come into the line of df as further paths."
        )
    )
