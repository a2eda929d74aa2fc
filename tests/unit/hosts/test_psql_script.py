"""What a script for psql comes to: one transaction, whatever stands in quotes and comments, or why it is none."""

from __future__ import annotations

import pytest

from pgops.hosts.remote.psql_script import ScriptFault, read_script

WHOLE = """\
-- BEGIN; COMMIT; in a comment
\\set ON_ERROR_STOP on
SET client_encoding = 'UTF8';
BEGIN;
/* a comment /* within */ COMMIT; */
\\copy t FROM 'x.csv' WITH (FORMAT csv)
INSERT INTO "COMMIT;" VALUES ('it''s; ROLLBACK;', E'\\'; COMMIT;', $$ COMMIT; $$, $a$ $$; END; $a$, (SELECT 1;));
SAVEPOINT s; ROLLBACK TO SAVEPOINT s;
COMMIT;
-- afterwards
SELECT setval('s', 1);
select pg_catalog.setval('s;', 2) FROM x;
"""


def test_what_stands_in_quotes_and_comments_counts_nothing() -> None:
    script = read_script(WHOLE)
    assert script.ends == "commit" and script.body.endswith("ROLLBACK TO SAVEPOINT s;\n")
    assert script.settings == ("SET client_encoding = 'UTF8';",)
    assert script.behind == ("SELECT setval('s', 1);", "select pg_catalog.setval('s;', 2) FROM x;")
    assert read_script(WHOLE.replace("\nCOMMIT;\n", "\nrollback work;\n")).ends == "rollback"


def test_bytes_of_any_encoding_pass() -> None:
    text = "BEGIN;\nINSERT INTO straße VALUES ('größe;');\nEND;\n".encode("latin-1").decode("latin-1")
    script = read_script(text)
    assert script.ends == "commit" and script.body.encode("latin-1") == text.encode("latin-1")[: -len("END;\n")]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("", "it has no BEGIN"),
        ("SELECT 1;", "it has no BEGIN"),
        ("BEGIN;\nSELECT 1;\n", "neither COMMIT nor ROLLBACK"),
        ("BEGIN; COMMIT; BEGIN; COMMIT;", "more than one transaction"),
        ("BEGIN;\nCOMMIT;\nROLLBACK;\n", "more than one transaction (they begin and end in the lines 1, 2, 3)"),
        ("COMMIT;\nBEGIN;\n", "more than one transaction"),
        ("DELETE FROM t;\nBEGIN; COMMIT;", "line 1 stands before BEGIN"),
        ("BEGIN;\nCOMMIT;\nDELETE FROM t;", "line 3 stands behind the end"),
        ("BEGIN; COMMIT; SELECT f(setval('s', 1));", "line 1 stands behind the end"),
        ("BEGIN; COMMIT;\n\\echo x", "line 2 stands behind the end"),
        ("BEGIN; COMMIT AND CHAIN;", "not plainly COMMIT"),
        ("BEGIN; COMMIT PREPARED 'x';", "not plainly COMMIT"),
        ("BEGIN; PREPARE TRANSACTION 'x'; COMMIT;", "prepares the transaction"),
        ("BEGIN;\n\\connect other\nCOMMIT;", "does not belong here: \\connect"),
        ("BEGIN;\n\\! rm -rf x\nCOMMIT;", "does not belong here: \\!"),
        ("BEGIN;\n\\i other.sql\nCOMMIT;", "does not belong here: \\i"),
        ("\\set ON_ERROR_STOP off\nBEGIN; COMMIT;", "does not belong here: \\set"),
        ("\\set AUTOCOMMIT off\nBEGIN; COMMIT;", "does not belong here: \\set"),
        ("BEGIN;\nSELECT 'COMMIT;' \\gexec\nCOMMIT;", "line 2 has a command of psql within a statement"),
        ("BEGIN;\nCOPY t (a) FROM STDIN;\nx\n\\.\nCOMMIT;", "line 4 has a command of psql within a statement"),
        ("BEGIN;\nCOPY t (a) FROM STDIN;\nCOMMIT;", "line 2 reads data from the script itself"),
        ("BEGIN;\nSELECT 'x;\nCOMMIT;", "the quote in line 2 is never closed"),
        ("BEGIN;\n/* x\nCOMMIT;", "the comment in line 2 is never closed"),
        ("BEGIN;\nSELECT 1\n", "the statement in line 2 never ends"),
        ("BEGIN;\nCOMMIT", "the statement in line 2 never ends"),
    ],
)
def test_what_is_not_one_transaction_is_told(script: str, why: str) -> None:
    with pytest.raises(ScriptFault) as fault:
        read_script(script)
    assert why in str(fault.value)
