"""pgops.yml(5): every key, and the rights that a plain operator needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from manual import configuration_keys as keys
from manual import roff
from manual.rights_section import rights_section
from pgops import __version__
from pgops.config.model import Thresholds, Timeouts

EXAMPLE = (Path(__file__).parent / "pgops.yml").read_text("utf-8")
_SMALLEST = """version: 1
clusters:
  demo:
    dcs: {kind: etcd3, endpoints: ["db1.example:2379", "db2.example:2379", "db3.example:2379"]}"""


def configuration_page() -> str:
    """The text of pgops.yml.5."""
    return (
        f'.TH "PGOPS.YML" "5" "" "pgops {__version__}" "pgops Manual"\n'
        ".SH NAME\npgops.yml \\- the clusters that pgops looks after\n"
        + roff.section("DESCRIPTION", _description())
        + roff.section("KEYS", _tables(), _numbers("thresholds", keys.THRESHOLDS), _numbers("timeouts", keys.TIMEOUTS))
        + roff.section("RIGHTS", rights_section())
        + roff.section("EXAMPLES", roff.paragraphs("The smallest:"), roff.verbatim(_SMALLEST))
        + roff.paragraphs("With every key:")
        + roff.verbatim(EXAMPLE)
        + roff.section("SEE ALSO", roff.paragraphs("`pgops`(1), `ssh_config`(5), `sudoers`(5)"))
    )


def _description() -> str:
    return roff.paragraphs(
        "A YAML file that names the clusters. pgops reads the first that there is of: -c/--config, PGOPS_CONFIG, "
        "~/.config/pgops/pgops.yml, /etc/pgops/pgops.yml, PATRONICTL_CONFIG_FILE, ~/.config/patroni/patronictl.yaml, "
        "/etc/patroni/config.yml, /etc/patroni/patroni.yml.",
        "A Patroni configuration may be given in its place: scope, namespace, DCS, TLS and logins are read from there, and "
        "the members from the DCS. Then the host that it describes is this machine, and "
        "others are asked over the network alone.",
        "The file is checked as a whole: every fault is told at once, with file, line and key. A file that everybody may "
        "write is refused, and so is one with secrets that others may read (its group may where root owns it: mode 0640).",
        "Paths on this machine begin beside the file, or with ~/. Sizes are bytes, or a text such as 16MiB (KiB, MiB, GiB, "
        "TiB). Durations are seconds, or a text such as 500ms, 90s, 15min, 26h, 8d, 1w.",
    )


def _tables() -> str:
    titled = (
        ("Top", keys.TOP),
        ("clusters.NAME", keys.CLUSTER),
        ("clusters.NAME.backup", keys.BACKUP),
        ("clusters.NAME.dcs", keys.DCS),
        ("clusters.NAME.rest", keys.REST),
        ("tls, of dcs and rest", keys.TLS),
        ("clusters.NAME.sql", keys.SQL),
        ("clusters.NAME.services", keys.SERVICES),
        ("clusters.NAME.hosts.MEMBER", keys.HOST),
        ("ssh, as a mapping", keys.SSH),
        ("clusters.NAME.proxies.PROXY", keys.PROXY),
    )
    return "".join(roff.subsection(title, _rows(rows)) for title, rows in titled)


def _rows(rows: Iterable[keys.Row]) -> str:
    return "".join(_row(*row) for row in rows)


def _row(key: str, form: str, text: str) -> str:
    return f".TP\n\\fB{roff.escape(key)}\\fP ({roff.escape(form)})\n{roff.running(text)}\n"


def _numbers(title: str, meanings: dict[str, str]) -> str:
    """Thresholds and timeouts with the model's own defaults, in the order of the model."""
    model = Thresholds if title == "thresholds" else Timeouts
    rows = []
    for field in fields(model):
        form = "size" if field.name.endswith("_bytes") else "duration" if field.name.endswith("_s") else "number"
        rows.append((field.name, form, f"{meanings[field.name]} Default: {_shown(field.name, field.default)}."))
    return roff.subsection(f"clusters.NAME.{title}", _rows(rows))


def _shown(name: str, value: object) -> str:
    assert isinstance(value, int | float)
    units = (
        (("GiB", 1024**3), ("MiB", 1024**2)) if name.endswith("_bytes") else (("d", 86400), ("h", 3600), ("min", 60))
    )
    if name.endswith(("_bytes", "_s")):
        for unit, size in units:
            if value >= 2 * size and value % size == 0:
                return f"{value / size:g}{unit}"
        return f"{value:g}s" if name.endswith("_s") else f"{value}"
    return f"{value:g}"
