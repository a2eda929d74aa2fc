"""`pgops pause` and `pgops resume`: automatic failover off and on again, with an owner and a reason."""

from pgops.plugin import Command, Plugin

plugin = Plugin(
    name="pause",
    commands=(
        Command("pause", "pgops_pause.command:pause", "Switch automatic failover off, and say who did it and why."),
        Command(
            "resume", "pgops_pause.command:resume", "Switch automatic failover on again, unless evidence would be lost."
        ),
    ),
    procedures={"pause": "pgops_pause.pausing:PAUSE", "resume": "pgops_pause.resuming:RESUME"},
)
