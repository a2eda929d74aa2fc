"""SQL assertions are parted as psql would part them, and nothing but SQL is taken."""

from __future__ import annotations

import pytest

from pgops_drill.assertions import AssertionFault, shorten, split_statements, write_file


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("select true;", ("select true",)),
        ("select true", ("select true",)),
        ("select 1;;\n ; select 2;", ("select 1", "select 2")),
        ("select 'a;b' = 'it''s;';select 2", ("select 'a;b' = 'it''s;'", "select 2")),
        (r"select E'\';' is not null; select 2", (r"select E'\';' is not null", "select 2")),
        (r"select '\'; select 2", (r"select '\'", "select 2")),
        ('select ";" from "a""b;"; select 2', ('select ";" from "a""b;"', "select 2")),
        ("select $$;$$; select $a$ $$; $a$", ("select $$;$$", "select $a$ $$; $a$")),
        ("select a$b$ from t; select 2", ("select a$b$ from t", "select 2")),
        ("select 1 -- no; end\n; select 2", ("select 1 -- no; end", "select 2")),
        ("/* a; /* b; */ c; */ select 1; -- done;", ("/* a; /* b; */ c; */ select 1",)),
        ("-- nothing\n/* at all */ ;", ()),
        ("", ()),
    ],
)
def test_statements(text: str, statements: tuple[str, ...]) -> None:
    assert split_statements(text) == statements


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("select 1;\n\\! rm -rf /\n", "line 2 has a backslash command"),
        ("select 1 \\g /etc/passwd", "line 1 has a backslash command"),
        ("select 'a", "quote that begins in line 1 does not end"),
        ('select\n"a', "quote that begins in line 2 does not end"),
        ("select $x$ a", "text that begins in line 1 does not end"),
        ("/* /* */", "comment that begins in line 1 does not end"),
        ("select 1,\n-- pgops-assertion 3\n2;", "which pgops itself writes"),
    ],
)
def test_what_is_no_plain_sql_is_refused(text: str, words: str) -> None:
    with pytest.raises(AssertionFault, match=words.replace("\\", r"\\")):
        split_statements(text)


def test_each_is_found_by_its_title() -> None:
    assert write_file(("select 1", "select 2")) == (
        "-- pgops-assertion 1\nselect 1\n;\n-- pgops-assertion 2\nselect 2\n;\n"
    )


def test_a_comment_at_the_end_does_not_swallow_the_semicolon() -> None:
    (text,) = split_statements("select true -- always")
    assert write_file((text,)).endswith("-- always\n;\n")


def test_a_long_one_is_told_in_short() -> None:
    assert shorten("select\n  1") == "select 1"
    assert len(shorten("select " + "x" * 200)) == 80
