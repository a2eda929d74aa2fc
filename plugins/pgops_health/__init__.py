"""`pgops health`: what is wrong with the cluster, worst first."""

from pgops.plugin import Command, Plugin

plugin = Plugin(
    name="health",
    commands=(
        Command(
            "health", "pgops_health.command:health", "What is wrong with the cluster, worst first.", speaks_nagios=True
        ),
    ),
    checks="pgops_health.checks:CHECKS",
)
