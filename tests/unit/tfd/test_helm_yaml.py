"""tfd and Helm read the same values in a file. tfd refuses what Helm silently ignores."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tfd.jobfile import helm_yaml
from tfd.jobfile.go_scalars import resolve
from tfd.jobfile.helm import find_helm
from tfd.jobfile.helm_yaml import YamlError, load, load_all

# fmt: off
PLAIN_SCALARS = """
1e-3 1e3 1E3 1.5e3 1e+3 .5 5. -.5 +1 +1.5 -0 0o17 017 0x1F 0b11 1_000 1_0.5 12:30 1:30:00 190:20:30.15 on On ON
off yes Yes no y Y n N true True TRUE tRue false null Null NULL ~ 2001-01-01 2001-12-14t21:59:43.10-05:00 0x 08 09
0.1.2 1e 1e-400 12345678901234567890 9223372036854775807 1e400 0o8 0O17 0B1 0X1f -0x1f -017 -0b11 +0x1F 1__0 _1 1_
0_7 .0_ .1_0 -.1_ e3 .e3 1.e3 1.0 1.50 100000000000000000000.0 infinity NaN inf 0.0000001 01 00
digits a.b:C 1.2.3 1000000 =
0xFFFFFFFFFFFFFFFF 0x10000000000000000 -0x8000000000000000 -0x8000000000000001 +0x7FFFFFFFFFFFFFFF +0x8000000000000000
0777777777777777777777 01777777777777777777777 07777777777777777777777777 -07777777777777777777777777
0o7777777777777777777777777 18446744073709551616 -9223372036854775809 1e308 1e309 -1e309 1e-5000
+.5 -.5e1 .5e400 1_000_000.5_5 1e+_3
""".split()  # noqa: SIM905
# More digits than a float or an int of Python takes from a text.
LONG_SCALARS = [
    400 * "9", 5000 * "9", f"-{5000 * '9'}", f"0x{5000 * 'f'}", f"0{5000 * '7'}", f"0b{5000 * '1'}",
    f"0.{5000 * '9'}", f"1{300 * '_'}", f"1e{400 * '9'}", f"0.{400 * '0'}1",
]
# fmt: on


@pytest.fixture(scope="session")
def probe_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart that prints its values as JSON."""
    chart = tmp_path_factory.mktemp("probe")
    (chart / "templates").mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: probe\nversion: 0.1.0\n")
    (chart / "templates" / "values.yaml").write_text("{{ .Values | toJson }}\n")
    return chart


def helm_reads(chart: Path, text: str) -> dict[str, Any]:
    """Return the values that Helm reads in a file. A value that it drops (null) is None here."""
    done = subprocess.run(
        [find_helm(), "template", "probe", str(chart), "--values", "-"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    values: dict[str, Any] = json.loads(line)
    return values


def assert_same(seen: Any, helm: Any) -> None:
    """Equal as JSON: 1 and 1.0 are the same number, but 1 is not true."""
    if isinstance(helm, int | float):  # Go prints the shortest digits that give the same float
        seen, helm = (float(value) if not isinstance(value, bool) else value for value in (seen, helm))
    assert seen == helm
    assert isinstance(seen, bool) == isinstance(helm, bool)


def test_plain_scalars_are_read_like_helm(probe_chart: Path) -> None:
    keys = {f"k{index}": text for index, text in enumerate(PLAIN_SCALARS + LONG_SCALARS)}
    text = "".join(f"{key}: {scalar}\n" for key, scalar in keys.items())
    helm, ours = helm_reads(probe_chart, text), load(text).value
    for key in keys:
        assert_same(ours[key], helm.get(key))


def test_keys_that_look_like_other_types_are_read_like_helm(probe_chart: Path) -> None:
    text = "map:\n  y: 1\n  1: 2\n  1.5: 3\n  0o17: 4\n  12:30: 5\n  1e3: 6\n  2001-01-01: 7\n"
    assert load(text).value == helm_reads(probe_chart, text)


@pytest.mark.parametrize("start", ["---", "---  # job", "# job\n---", "\ufeff---", ""])
def test_start_and_merges_are_read_like_helm(probe_chart: Path, start: str) -> None:
    text = f"{start}\na: {{<<: {{b: 1}}, c: 2}}\nd: {{<<: [{{b: 1}}, {{b: 2, c: 3}}]}}\ne: {{<<: []}}\n"
    assert load(text).value == helm_reads(probe_chart, text)


@pytest.mark.parametrize(
    "start", ["%YAML 1.1\n---\n", "%YAML 1.2\n---\n", "%TAG ! tag:a,2000:\n---\n", "--- ", "--- &a\n"]
)
def test_start_that_helm_does_not_read_is_refused(probe_chart: Path, start: str) -> None:
    text = f"{start}{{a: 1}}\n"
    with pytest.raises(subprocess.CalledProcessError):
        helm_reads(probe_chart, text)
    with pytest.raises(YamlError):
        load(text)


# Not shrunk, because each example starts Helm.
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.from_regex(r"[-+.0-9][-+.0-9eExXoObB_:a-f]{0,9}", fullmatch=True), min_size=40, max_size=40))
def test_scalars_that_look_like_numbers_are_read_like_helm(probe_chart: Path, scalars: list[str]) -> None:
    keys = {
        f"k{i}": text for i, text in enumerate(scalars) if not text.endswith(":") and text not in ("-", "...", "---")
    }
    text = "".join(f"{key}: {scalar}\n" for key, scalar in keys.items())
    helm, ours = helm_reads(probe_chart, text), load(text).value
    for key in keys:
        assert_same(ours[key], helm.get(key))


def test_quotes_blocks_and_anchors_are_read_like_helm(probe_chart: Path) -> None:
    text = (
        "a: '1e3'\nb: \"y\"\nc: |\n  12\n  13\nd: >-\n  x\n  y\ne: !!str 5\nf: &f {x: 1, z: 2}\n"
        "g: {<<: *f, x: 2}\nl: {x: 2, <<: *f}\nh: [*f, 'no']\ni: ''\nj: {}\nk: []\n"
    )
    helm = helm_reads(probe_chart, text)
    assert load(text).value == helm


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        (
            "a: 1\nb: 2\na: 3\n",
            "a: got a duplicate of the key on line 1; expected each key once. Keep one of the two.",
            3,
            1,
        ),
        (
            "a:\n  b: 1\n  b: 2\n",
            "a.b: got a duplicate of the key on line 2; expected each key once. Keep one of the two.",
            3,
            3,
        ),
        (
            "a: 1\n---\nb: 2\n",
            "file: got a second document; expected one document. Move the second run to its own file.",
            3,
            1,
        ),
        ("a: .inf\n", "a: got .inf; expected a finite number. Set a finite number.", 1, 4),
        ("a: !!python/object:os.system x\n", "; expected a value without a tag. Remove the tag.", 1, 4),
        ("a: [1, 2\n", "file: got invalid YAML (", 2, 1),
        ("a:\n\t- 1\n", "; expected a YAML document. Correct the syntax at this place.", 2, 1),
        (
            "a: {~: 1}\n",
            "got a key that is not a string; expected a string as key. Write the key as a plain word.",
            1,
            5,
        ),
        (
            "? [a, b]\n: 1\n",
            "got a key that is not a string; expected a string as key. Write the key as a plain word.",
            1,
            3,
        ),
    ],
)
def test_refusal_has_line_and_column(text: str, message: str, line: int, column: int) -> None:
    with pytest.raises(YamlError) as caught:
        load(text)
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_nested_aliases_are_refused_before_they_fill_the_memory() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 12):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n"
    with pytest.raises(
        YamlError, match=r"got more than 5,000 values; expected at most 5,000 values. Remove values or nested aliases."
    ):
        load(bomb)


@pytest.mark.parametrize(
    "text", [f"[{12_000 * 'a,'}]", f"{{{''.join(f'a{n}: 1,' for n in range(5_100))}}}", 12_000 * "- a\n"]
)
def test_too_many_values_are_refused_before_they_are_built(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helm_yaml, "_compose", None)
    with pytest.raises(YamlError, match=r"got more than 5,000 values"):
        load(text)


def test_aliases_of_a_long_text_are_refused_before_they_fill_the_memory() -> None:
    with pytest.raises(YamlError, match=r"got more than 65,536 characters with its aliases written out"):
        load(f"a: &a {'x' * 30_000}\nb: [{', '.join(['*a'] * 1_000)}]\n")


@pytest.mark.parametrize("text", [f"a: {30_000 * '['}{30_000 * ']'}", 20_000 * "- ", "a: &a {b: *a}", "a: &a [*a]"])
def test_deep_nesting_is_refused_before_it_crashes_python(text: str) -> None:
    with pytest.raises(
        YamlError, match=r"got more than 50 levels; expected at most 50 levels. Write the file with fewer levels."
    ):
        load(text)


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(YamlError, match=r"file: got 70,003 bytes; expected at most 65,536 bytes. "):
        load("a: " + "x" * 70_000)


def test_every_key_has_its_line_and_column() -> None:
    document = load("a: 1\nb:\n  c: [x, {d: 2}]\n")
    assert document.position(("b", "c", 1, "d")) == (3, 11)
    assert document.position(("b", "c", 1, "missing")) == document.position(("b", "c", 1))
    assert document.position(("nothing",)) == (1, 1)


def test_all_documents_of_a_rendering_are_read() -> None:
    assert load_all("a: 1\n---\n# empty\n---\nb: 1e3\n") == [{"a": 1}, {"b": 1000}]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives_as_python_and_json_write_it(value: float) -> None:
    assert resolve(repr(value)) == value
    assert resolve(json.dumps(value)) == value
