"""Whatever a user writes, Markdown shows it as text and as nothing else."""

import html

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tfd.review.output.markdown import block, code, table, visible

MARKDOWN = MarkdownIt("commonmark").enable("table")
# Rich in what Markdown, HTML and GitHub give a meaning to.
TEXT = st.text(alphabet=st.one_of(st.sampled_from("`|\\<>!-&@#*_[]()~$:\n\r\t \u202e\u200b\ud800é9a"), st.characters()))


def inline(tokens: list[Token]) -> list[Token]:
    [only] = [token for token in tokens if token.type == "inline"]
    return only.children or []


def shown(children: list[Token]) -> str:
    """Return what a reader sees of the children of one inline code, which they must be and nothing else."""
    if len(children) == 1:
        assert children[0].type == "code_inline"
        return children[0].content
    first, *middle, last = children
    assert (first.type, first.content) == ("html_inline", "<code>")
    assert (last.type, last.content) == ("html_inline", "</code>")
    assert {child.type for child in middle} <= {"text", "text_special"}
    return "".join(child.content for child in middle)


@given(TEXT)
def test_code_is_one_piece_of_code_in_a_line(text: str) -> None:
    assert shown(inline(MARKDOWN.parse(code(text, 10_000)))) == visible(text)


@given(TEXT, TEXT)
def test_code_stays_within_its_cell_of_a_table(left: str, right: str) -> None:
    tokens = MARKDOWN.parse(table(["a", "b"], [[code(left, 10_000), code(right, 10_000)]]))
    cells = [token.children or [] for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    assert [shown(cell) for cell in cells[2:]] == [visible(left), visible(right)]


@given(TEXT, st.integers(min_value=2, max_value=50))
def test_code_is_cut_to_its_length(text: str, longest: int) -> None:
    assert len(shown(inline(MARKDOWN.parse(code(text, longest))))) <= longest


@given(TEXT)
def test_nothing_ends_a_block(text: str) -> None:
    tokens = MARKDOWN.parse(f"{block(text)}\n\nafter")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content == f"{visible(text, lines=True)}\n"


@given(TEXT)
def test_no_comment_mention_or_direction_mark_gets_through(text: str) -> None:
    rendered = code(text)
    if not rendered.startswith("`"):
        assert not set(html.unescape(rendered.removeprefix("<code>").removesuffix("</code>"))) & set("\u202e\u200b\n")
        assert not set(rendered.removeprefix("<code>").removesuffix("</code>")) & set("@<>`|\\")
    assert "\n" not in rendered
