"""`pgops backup`: a backup by the leader alone, and what the repository holds: backups, times to restore to, soundness."""

from pgops.plugin import Command, Plugin

SUBCOMMANDS = {
    "check": ("pgops_backup.check_command:check", "Say whether backups can be relied on."),
    "expire": ("pgops_backup.expire_command:expire", "Remove what the retention no longer keeps."),
    "list": ("pgops_backup.list_command:list_backups", "List the backups."),
    "schedule": ("pgops_backup.schedule_command:schedule", "Print the schedule of backups, or install it."),
    "window": ("pgops_backup.window_command:window", "Show the exact times one can restore to."),
}
"""The subcommands of `pgops backup`, each loaded when it is called: (target, line in the help)."""

plugin = Plugin(
    name="backup",
    commands=(
        Command("backup", "pgops_backup.command:backup", "Make a backup on the leader; list and check backups."),
    ),
    checks="pgops_backup.checks:CHECKS",
    procedures={
        "backup": "pgops_backup.backing_up:BACKUP",
        "backup-expire": "pgops_backup.expiring:EXPIRE",
        "backup-schedule-install": "pgops_backup.installing:INSTALL",
        "backup-schedule-remove": "pgops_backup.installing:REMOVE",
    },
)
