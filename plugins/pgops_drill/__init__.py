"""`pgops drill`: restore a backup to a scratch directory, start it privately, and prove that it is whole."""

from pgops.plugin import Command, Plugin

plugin = Plugin(
    name="drill",
    commands=(Command("drill", "pgops_drill.command:drill", "Prove a backup by restoring it to a scratch directory."),),
    checks="pgops_drill.checks:CHECKS",
    procedures={"drill-restore": "pgops_drill.restoring:RESTORE"},
)
