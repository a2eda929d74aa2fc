"""Plans as values: actions, steps, procedures, and the folding of a procedure into a plan. Pure throughout."""
