"""Markdown shows untrusted text as text, whatever it contains."""

import re
from html.parser import HTMLParser

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tfd.review.output.markdown import block, code, prose, table
from tfd.text import visible

MARKDOWN = MarkdownIt("commonmark").enable("table")
# Rich in what Markdown, HTML and GitHub give a meaning to.
CHARACTERS = st.sampled_from("`|\\<>!-&@#*_[]()~$:\n\r\t \u202e\u200b\u3164\u0301\ud800\u00e99a")
PARTS = st.sampled_from(["mailto:", "xmpp:", "www.", "https://", "a@b.co", "@everyone", "#1", "<b>", *"`|\\ ./"])
TEXT = st.one_of(st.text(st.one_of(CHARACTERS, st.characters())), st.lists(PARTS).map("".join))
COLUMNS = ["a", "b"]


class Shown(HTMLParser):
    """What GitHub's own parser makes of Markdown: the tags, and the texts inside and outside of <code>."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.code: list[str] = []
        self.outside = ""
        self._in_code = False
        # A lone surrogate is spelled out, so none is left to encode.
        self.feed(cmarkgfm.github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag != "a", attributes
        self.tags.add(tag)
        if tag == "code":
            self.code.append("")
            self._in_code = True

    def handle_endtag(self, tag: str) -> None:
        self._in_code &= tag != "code"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.code[-1] += data
        else:
            self.outside += data


def inline(tokens: list[Token]) -> list[Token]:
    [only] = [token for token in tokens if token.type == "inline"]
    return only.children or []


def name(text: str) -> str:
    return visible(text, ascii_only=True)


@given(TEXT)
def test_code_is_one_inline_code(text: str) -> None:
    shown = Shown(code(text, 10_000))
    assert (shown.code, shown.outside.strip(), shown.tags) == ([name(text)], "", {"p", "code"})


@given(TEXT)
def test_words_are_one_inline_code(text: str) -> None:
    shown = Shown(code(text, 10_000, ascii_only=False))
    assert (shown.code, shown.outside.strip(), shown.tags) == ([visible(text)], "", {"p", "code"})


@given(TEXT, TEXT)
def test_code_stays_inside_its_table_cell(left: str, right: str) -> None:
    shown = Shown(table(COLUMNS, [[code(left, 10_000), code(right, 10_000)]]))
    assert shown.code == [name(left), name(right)]
    assert shown.outside.split() == COLUMNS
    assert shown.tags == {"table", "thead", "tbody", "tr", "th", "td", "code"}


@given(TEXT, st.integers(min_value=2, max_value=50))
def test_code_is_cut_to_its_length(text: str, longest: int) -> None:
    [shown] = Shown(code(text, longest)).code
    assert len(shown) <= longest


@given(TEXT)
def test_text_cannot_end_a_code_block(text: str) -> None:
    tokens = MARKDOWN.parse(f"{block(text)}\n\nafter")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content == f"{visible(text, lines=True)}\n"


@given(TEXT)
def test_code_contains_nothing_that_github_acts_on(text: str) -> None:
    rendered = code(text)
    assert rendered.isascii() or "…" in rendered
    assert "\n" not in rendered
    if not rendered.startswith("`"):
        inner = rendered.removeprefix("<code>").removesuffix("</code>").replace("<!-- -->&#64;", "&#64;")
        assert not set(inner) & set("@<>`|\\")


@given(TEXT)
def test_prose_is_words_and_inline_code_only(text: str) -> None:
    shown = Shown(f"- x {prose(text, 10_000)}")
    assert shown.tags <= {"ul", "li", "code"}
    assert re.fullmatch(r"[A-Za-z0-9,.;:?()' \n-]*", shown.outside)


@pytest.mark.parametrize(
    "text", ["@everyone", "#12", "GH-12", "www.example.com", "ada@example.com", "deadbeef", "1234567", ":tada:",
             "a_b_c", "**b**", "<b>", "&lt;", "[a](b)", "$x$", "~~a~~", "![a](b)", "camelCase",
             "worker.replicas", "`a`", "a|b"]
)  # fmt: skip
def test_word_that_github_would_interpret_is_code(text: str) -> None:
    [child] = inline(MARKDOWN.parse(prose(text)))[:1]
    assert child.type == "code_inline" or child.content == "<code>"


def test_sentence_stays_a_sentence() -> None:
    text = "Merging starts 1 run: 4 GPUs (12.5 h), at most 1,096 GPU-hours; the rest waits."
    assert prose(text) == text
    assert prose("Set worker.replicas: 1 or more.") == "Set `worker.replicas`: 1 or more."
    assert prose("Set storage: {claim: NAME}.") == "Set storage: `{claim: NAME}`."
