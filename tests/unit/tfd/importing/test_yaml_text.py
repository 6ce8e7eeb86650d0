"""The job file that is written reads back as the same values, by Helm's rules."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tfd.importing.yaml_text import yaml_text
from tfd.jobfile import helm_yaml
from tfd.text import visible

SPECIAL = ["1e-3", "0o17", "012", "y", "on", "null", "~", "", "1_000", ".5", ".Inf", "a: b", "a # b", "- a", "&a", "*a"]
SPECIAL += [
    "<<",
    "%a",
    "a\nb",
    "a\nb\n",
    " a\nb",
    "a \nb",
    "a\n\nb\n",
    "#a\nb",
    "$(RUN_DIR)/x",
    "0x1F",
    "12:30",
    "a:",
    ":a",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(SPECIAL)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4), st.data())
def test_written_values_read_back(values: dict[str, Any], data: st.DataObject) -> None:
    names = [(name,) for name in values] + [(name, 0) for name in values] + [(name, "a") for name in values]
    comments = data.draw(st.dictionaries(st.sampled_from(names), st.lists(TEXTS, max_size=2), max_size=3))
    text = yaml_text(values, comments)
    assert helm_yaml.load(text).value == values
    assert visible(text, lines=True) == text
