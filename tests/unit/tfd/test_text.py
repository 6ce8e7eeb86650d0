"""Words and numbers for people."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfd.text import dotted, duration, number, plain, refusal, shown

GRAMMAR = re.compile(r"\S.*?: got .+; expected .+\. [A-Z].+\.")
WORDS = st.from_regex(r"[a-z]{2,8}( [a-z0-9]{1,8}){0,3}", fullmatch=True)


@given(key=WORDS, value=st.text(), expected=WORDS, fix=WORDS)
def test_refusal_is_one_line_in_the_grammar(key: str, value: str, expected: str, fix: str) -> None:
    message = refusal(key, shown(value), expected, fix)
    assert GRAMMAR.fullmatch(message)
    assert len(message.splitlines()) == 1


def test_refusal_keeps_the_full_stop_of_its_fix() -> None:
    message = "a.b: got 0; expected 1 or more. Set a.b."
    assert refusal("a.b", "0", "1 or more", "set a.b") == refusal("a.b", "0", "1 or more", "Set a.b.") == message


def test_long_value_is_cut() -> None:
    assert shown("x" * 100) == '"' + 76 * "x" + "..."


def test_key_is_dotted_like_users_write_it() -> None:
    assert dotted(("env", 0, "name")) == "env[0].name"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (41.4, "41 s"), (59.6, "1:00"), (187, "3:07"), (7509, "2:05:09")]
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (0.12345, "0.123"), (45.678, "45.7"), (96, "96"), (999.9, "1,000"), (12345.6, "12,346")],
)
def test_number_has_three_significant_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_number_has_more_digits_on_request() -> None:
    assert number(1234.56, 5) == "1,234.6"


def test_plain_text_has_no_control_characters() -> None:
    assert plain("a\x1b]0;title\x07b") == "a]0;titleb"
