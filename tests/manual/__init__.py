"""Man pages and completions, made from the live command line. `tests/generate.py` writes them."""
