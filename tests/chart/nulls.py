"""What null does to the keys of a chart: a list in its templates protects every default."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chart.rendering import Refused, Values, render
from tfd.jobfile import helm_yaml
from tfd.jobfile.schema import defaults, dotted


def with_blocks(keys: set[str]) -> set[str]:
    """Return the keys, and the blocks that contain them."""
    return keys | {key.rpartition(".")[0] for key in keys if "." in key}


def protected_keys(chart: Path) -> list[str]:
    """Return the keys that the templates of a chart protect against null."""
    text = (chart / "templates" / "rules" / "_defaults.tpl").read_text()
    blocks = helm_yaml.load(text[text.index("{\n") : text.index("\n}") + 2]).value
    return sorted(f"{block}.{name}".lstrip(".") for block, names in blocks.items() for name in names)


def default_keys(chart: Path) -> list[str]:
    """Return each key with a default and each block of such keys; the quantities of resources are not keys."""

    def below(block: dict[str, Any], *above: str) -> Iterator[str]:
        for name, value in block.items():
            yield dotted((*above, name))
            if isinstance(value, dict) and name != "resources":
                yield from below(value, *above, name)

    return sorted(below(defaults(chart)))


def assert_null_is_refused_with_words_or_allowed(values: Values, key: str, helm: str, chart: Path) -> None:
    """Assert that Helm accepts values in which `key` is null, or refuses them by a rule or by the schema."""
    written = key.replace("[]", "[0]")
    ours = f"tf-distributed: {written}: got null; expected a value. Remove {written} to use the default of the chart."
    try:
        render(values, helm=helm, chart=chart)
    except Refused as refusal:
        text = str(refusal)
        assert ours in text or "values don't meet the specifications of the schema" in text, text
