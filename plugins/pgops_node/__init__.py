"""`pgops node hold` and `pgops node release`: keep a node's Patroni from being started, by anybody and at boot."""

from pgops.plugin import Command, Plugin

plugin = Plugin(
    name="node",
    commands=(Command("node", "pgops_node.command:node", "Hold a node, so that nothing starts it, or release it."),),
    procedures={"node-hold": "pgops_node.holding:HOLD", "node-release": "pgops_node.holding:RELEASE"},
)
