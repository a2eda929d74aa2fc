"""Programs that run on hosts: shipped as text, so each stands alone there, on that host's own python3 (3.9 or newer)."""
