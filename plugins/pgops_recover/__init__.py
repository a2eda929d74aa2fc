"""`pgops recover`, `salvage`, `copies` and `guard`: no committed row is lost without being named and kept."""

from pgops.plugin import Command, Plugin

plugin = Plugin(
    name="recover",
    commands=(
        Command("recover", "pgops_recover.command:recover", "Recover a cluster from a split brain."),
        Command(
            "salvage",
            "pgops_recover.salvage_command:salvage",
            "Read the rows that only a kept copy has, and bring them back.",
        ),
        Command(
            "copies",
            "pgops_recover.copies_command:copies",
            "The safety copies on the hosts: list, show and remove them.",
        ),
        Command("guard", "pgops_recover.guard_command:guard", "Keep what Patroni's automatic rewind would discard."),
    ),
    checks="pgops_recover.checks:CHECKS",
    procedures={
        "recover-split-brain": "pgops_recover.recovering:RECOVER",
        "guard-install": "pgops_recover.guarding:INSTALL",
        "guard-remove": "pgops_recover.guarding:REMOVE",
        "copies-remove": "pgops_recover.removing:REMOVE_COPIES",
        "salvage": "pgops_recover.salvaging:SALVAGE",
        "salvage-apply": "pgops_recover.applying:APPLY",
        "salvage-remove": "pgops_recover.discarding:REMOVE_FOLDERS",
    },
)
