"""Steps that several runbooks share. Like all steps they are pure."""
