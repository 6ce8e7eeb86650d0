"""The fast reader of YAML gives what the whole reader gives, or nothing."""

from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chart.rendering import ACCEPTED, EXAMPLES, ROOT, rendered
from tests.unit.review.fuzz_inputs import FILES
from tests.unit.tfd.test_helm_yaml import LONG_SCALARS, PLAIN_SCALARS
from tfd.jobfile import helm_yaml, simple_yaml
from tfd.jobfile.simple_yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, Document

WRITTEN = [*EXAMPLES, *ACCEPTED, ROOT / "review.yaml", ROOT / "charts/tf-distributed/values.yaml"]
# Each text is one step within a limit, or has nothing that the fast reader leaves to the other one.
USUAL = [
    *(f"a: {scalar}\n" for scalar in (*PLAIN_SCALARS, *LONG_SCALARS) if scalar not in ("~", "=")),
    f"[{', '.join(['x'] * (MAX_NODES - 1))}]",
    "a: " + "x" * (MAX_BYTES - 4),
    "[" * MAX_DEPTH + "]" * MAX_DEPTH,
    "1: a\ntrue: b\n'1 ': c\n\"<<\": d\n",
    "--- \n# one\na: |\n  b\n\n  c\nd: >-\n  e\n  f\n...\n",
]
UNUSUAL = [
    "", "# only a comment\n", "a: 1\n---\nb: 2\n", "a: 1\na: 2\n", "~: 1\n", "<<: {a: 1}\n", "a: &b 1\n",
    "a: &b 1\nc: *b\n",
    "a: !!str 1\n", "! a: 1\n", "a: .inf\n", "[] : 1\n", "a: [\n", "a:\n\tb: 1\n", "\x00", "a: !!map {}\n",
    f"[{', '.join(['x'] * MAX_NODES)}]", "a: " + "x" * (MAX_BYTES + 1), "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2),
]  # fmt: skip


def whole(text: str) -> Document:
    with patch.object(simple_yaml, "read", lambda _: None):
        return helm_yaml.load(text)


def assert_equal(text: str) -> None:
    found, expected = simple_yaml.read(text), whole(text)
    assert found
    assert (repr(found.value), found.positions, found.alias) == (repr(expected.value), expected.positions, None)


@settings(deadline=None)
@given(FILES.map(lambda data: data.decode(errors="surrogateescape")) | st.text())
def test_fast_reader_gives_what_the_whole_one_gives(text: str) -> None:
    if simple_yaml.read(text):
        assert_equal(text)


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_written_files_are_read_fast(path: Path) -> None:
    assert_equal(path.read_text())


@pytest.mark.parametrize("text", USUAL, ids=lambda text: text[:20])
def test_usual_document_is_read_fast(text: str) -> None:
    assert_equal(text)


@pytest.mark.parametrize("text", UNUSUAL, ids=lambda text: text[:20])
def test_unusual_document_is_left_to_the_whole_reader(text: str) -> None:
    assert simple_yaml.read(text) is None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_rendered_objects_are_read_fast(path: Path) -> None:
    text = rendered(path)
    fast = simple_yaml.read_all(text)
    with patch.object(simple_yaml, "read_all", lambda _: None):
        assert fast
        assert repr([each for each in fast if each is not None]) == repr(helm_yaml.load_all(text))
