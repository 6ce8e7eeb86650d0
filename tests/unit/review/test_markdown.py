"""Markdown shows untrusted text as text, whatever it contains."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tfd.review.output.markdown import block, code, prose, table, visible

MARKDOWN = MarkdownIt("commonmark").enable("table")
# Rich in what Markdown, HTML and GitHub give a meaning to.
TEXT = st.text(alphabet=st.one_of(st.sampled_from("`|\\<>!-&@#*_[]()~$:\n\r\t \u202e\u200b\ud800é9a"), st.characters()))


def inline(tokens: list[Token]) -> list[Token]:
    [only] = [token for token in tokens if token.type == "inline"]
    return only.children or []


def shown(children: list[Token]) -> str:
    """Return the visible text of tokens, which must be one inline code."""
    if len(children) == 1:
        assert children[0].type == "code_inline"
        return children[0].content
    first, *middle, last = children
    assert (first.type, first.content) == ("html_inline", "<code>")
    assert (last.type, last.content) == ("html_inline", "</code>")
    assert {child.type for child in middle} <= {"text", "text_special"}
    return "".join(child.content for child in middle)


@given(TEXT)
def test_code_is_one_inline_code(text: str) -> None:
    assert shown(inline(MARKDOWN.parse(code(text, 10_000)))) == visible(text)


@given(TEXT, TEXT)
def test_code_stays_inside_its_table_cell(left: str, right: str) -> None:
    tokens = MARKDOWN.parse(table(["a", "b"], [[code(left, 10_000), code(right, 10_000)]]))
    cells = [token.children or [] for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    assert [shown(cell) for cell in cells[2:]] == [visible(left), visible(right)]


@given(TEXT, st.integers(min_value=2, max_value=50))
def test_code_is_cut_to_its_length(text: str, longest: int) -> None:
    assert len(shown(inline(MARKDOWN.parse(code(text, longest))))) <= longest


@given(TEXT)
def test_text_cannot_end_a_code_block(text: str) -> None:
    tokens = MARKDOWN.parse(f"{block(text)}\n\nafter")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content == f"{visible(text, lines=True)}\n"


@given(TEXT)
def test_code_contains_no_comment_mention_or_direction_mark(text: str) -> None:
    rendered = code(text)
    if not rendered.startswith("`"):
        assert not set(html.unescape(rendered.removeprefix("<code>").removesuffix("</code>"))) & set("\u202e\u200b\n")
        assert not set(rendered.removeprefix("<code>").removesuffix("</code>")) & set("@<>`|\\")
    assert "\n" not in rendered


@given(TEXT)
def test_prose_is_words_and_inline_code_only(text: str) -> None:
    children = inline(MARKDOWN.parse(f"- x {prose(text, 10_000)}"))
    outside = ""
    in_code = False
    for child in children:
        if child.type == "html_inline":
            assert child.content == ("</code>" if in_code else "<code>")
            in_code = not in_code
        elif not in_code:
            assert child.type in ("text", "code_inline")
            outside += child.content if child.type == "text" else ""
    assert re.fullmatch(r"[A-Za-z0-9,.;:?()' -]*", outside)


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
