"""What a plugin's author tests procedures with: a fake cluster that refuses impossible worlds, and the contract suite."""
