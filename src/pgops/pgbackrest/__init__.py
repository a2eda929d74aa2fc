"""pgBackRest: its commands as argv lists, the meaning of its exit codes, and a runner with one fault."""
