"""The engine: runs a plan as it stands, with a journal, a lock and a record, and goes on after a kill."""
