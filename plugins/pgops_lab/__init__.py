"""`pgops lab`: a real three-node cluster on loopback to practise on."""

from pgops.plugin import Command, Plugin

plugin = Plugin(
    name="lab",
    commands=(Command("lab", "pgops_lab.command:lab", "A real cluster on loopback to practise on, and to break."),),
)
