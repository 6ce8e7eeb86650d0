"""What the commands print of a stranger's text can control neither a terminal nor the CI service that logs it."""

import io
import json
import unicodedata
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.unit.tfd.fake_cluster import Cluster, all_running
from tfd.cli import main
from tfd.local.view import PlainView
from tfd.text import json_text, plain, visible

# Default_Ignorable_Code_Point of Unicode 16, and blanks.
NO_INK = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180e\u180f\u200b\u200d\u202a\u202e\u2060\u2064\u2065\u206f\u3164"
    "\ufe00\ufe0f\ufeff\uffa0\ufff0\ufff8\U0001bca0\U0001d173\U000e0001\U000e0100\U000e01ef\U000e0fff"
    "\u2800\u00a0\u3000\u2028\u2029\x85"
)
COMMANDS = "::error file=README.md::pwned", "  ::add-mask::x", "##[error]pwned", "x ##vso[task.x]", "##teamcity[x]"
HOSTILE = f"\x1b]0;owned\a\x9b2J\r\n{COMMANDS[0]}\n##[group]{NO_INK}e{30 * chr(0x301)}"
TEXT = st.text(
    st.one_of(st.sampled_from(f"{NO_INK}\x1b\x07\r\n\t:#[]e \u0301\u20dd\u00e9\u05d0\ud800"), st.characters())
)


def assert_harmless(text: str, kept: str = "\n") -> None:
    """Fail if a terminal or a CI service would do more with `text` than show it."""
    for char in text:
        assert char in kept or char == " " or unicodedata.category(char)[0] not in "CZ", ascii(char)
        assert char not in NO_INK
    before = ""
    for char in text:
        assert not (unicodedata.category(char)[0] == "M" and not before.isalpha())
        before = char
    for line in text.split("\n"):
        assert not line.lstrip().startswith("::")
        assert not any(name in line for name in ("##[", "##vso[", "##teamcity["))


@given(TEXT)
def test_visible_text_is_harmless(text: str) -> None:
    assert_harmless(visible(text), kept="")
    assert_harmless(visible(text, lines=True), kept="\n\t")
    assert_harmless(plain(text), kept="\n\t")


@given(TEXT, st.booleans())
def test_visible_text_stays_the_same(text: str, ascii_only: bool) -> None:
    once = visible(text, ascii_only=ascii_only)
    assert visible(once, ascii_only=ascii_only) == once


@given(TEXT, TEXT)
def test_names_that_differ_are_shown_differently(one: str, other: str) -> None:
    spelled = visible(one, ascii_only=True), visible(other, ascii_only=True)
    assert all(text.isascii() for text in spelled)
    assert "<U+" in one + other or (spelled[0] == spelled[1]) == (one == other)


@pytest.mark.parametrize("char", NO_INK)
def test_character_without_ink_is_spelled_out(char: str) -> None:
    assert visible(f"gs://bucket/runs{char}") == f"gs://bucket/runs<U+{ord(char):04X}>"


@pytest.mark.parametrize("text", COMMANDS)
def test_command_to_a_ci_service_is_spelled_out(text: str) -> None:
    assert_harmless(visible(text))
    assert visible(text).replace("<U+003A>", ":").replace("<U+0023>", "#") == text


@pytest.mark.parametrize(
    "text", ["caf\u00e9 in S\u00e3o Paulo", "e\u0301", "\u6771\u4eac", "a::b", "# [x]", "10 \u00b5s"]
)
def test_words_of_any_language_stay(text: str) -> None:
    assert visible(text) == text


def test_letters_that_look_alike_are_spelled_out_in_names() -> None:
    assert visible("gs://b\u0443cket", ascii_only=True) == "gs://b<U+0443>cket"


@given(st.dictionaries(TEXT, TEXT))
def test_json_is_harmless_and_has_every_value(value: dict[str, str]) -> None:
    assert_harmless(json_text(value))
    assert json.loads(json_text(value)) == value


def printed(*words: str) -> str:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code in (1, 2), done.output
    assert "README.md" in done.output
    return done.output


@pytest.mark.parametrize("place", ["key", "value", "deep key", "yaml", "path"])
@pytest.mark.parametrize("style", [(), ("--json",)])
def test_check_prints_harmless_text(place: str, style: tuple[str, ...], tmp_path: Path) -> None:
    texts = {
        "key": yaml.safe_dump({"storage": {"claim": "runs"}, HOSTILE: 1}),
        "value": yaml.safe_dump({"storage": {"claim": HOSTILE}}),
        "deep key": yaml.safe_dump({"storage": {"claim": "runs"}, "worker": {"resources": {"limits": {HOSTILE: "1"}}}}),
        "yaml": "a: 1\n? README.md\n: &\u3164\u202e ::error\n",
        "path": "strategy: README.md\n",
    }
    name = "\n::error::\x1b\u3164.yaml" if place == "path" else "run.yaml"
    (tmp_path / "team").mkdir()
    path = tmp_path / "team" / name
    path.write_text(texts[place])
    done = CliRunner().invoke(main, ["check", *style, str(path)])
    assert done.exit_code == 1, done.output
    assert_harmless(done.output)


def test_errors_with_file_names_are_harmless(tmp_path: Path) -> None:
    folder = tmp_path / f"README.md{HOSTILE[:20]}"
    folder.mkdir()
    assert_harmless(printed("check", str(folder)))
    assert_harmless(printed("new", "a/b", "--from", f"README.md/{HOSTILE}"))
    (tmp_path / "team").mkdir()
    path = tmp_path / "team" / "run.yaml"
    path.write_text(yaml.safe_dump({"storage": {"claim": HOSTILE}}))
    assert_harmless(printed("run", str(path)))


def test_status_prints_harmless_text(cluster: Cluster) -> None:
    items = all_running()
    waiting = {"type": "PodScheduled", "status": "False", "message": HOSTILE}
    items[-1]["status"] = {"phase": "Pending", "conditions": [waiting]}
    cluster.answers |= {"items": items, "status": {"step": 1, "steps": 2, "metrics": {HOSTILE: 0.5}}}
    done = cluster.tfd("status", "little")
    assert done.exit_code == 0, done.output
    assert_harmless(done.stdout)
    assert "README.md" in done.stdout


def test_logs_print_harmless_text(cluster: Cluster) -> None:
    cluster.answers |= {"items": all_running(), "log": f"\x1b[31mred\x1b[0m\n{HOSTILE}"}
    done = cluster.tfd("logs", "little")
    assert done.exit_code == 0, done.output
    assert_harmless(done.stdout)
    assert done.stdout.startswith("red\n")
    assert "README.md" in done.stdout


def test_log_lines_of_a_local_run_are_harmless() -> None:
    out = io.StringIO()
    with PlainView(Console(file=out)) as view:
        for text in HOSTILE.splitlines():
            view.line("chief-0", text)
        view.event("chief-0", HOSTILE)
    assert_harmless(out.getvalue())
    assert "README.md" in out.getvalue()
