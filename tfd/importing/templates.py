"""Finds placeholders: a manifest is imported with its values, never with the text that a generator replaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tfd.importing.ledger import Field, RefusedError
from tfd.importing.shell import is_script, unknown_variables

# Of Helm, Argo Workflows and Jinja; of Katib, envsubst and shells; of Jinja statements; of Python's %-format.
_TEMPLATE = re.compile(r"\{\{.{0,200}?\}\}|\{%.{0,200}?%\}|%\([A-Za-z_]\w*\)s", re.DOTALL)
_VARIABLE = re.compile(r"(?<![$\\])\$\{[^}]{1,200}\}|(?<![$\\\w])\$[A-Za-z_]\w*")
# The first lines of what is not YAML.
_JSONNET = re.compile(r"^\s*(?:local\s+\w+\s*=|//|import\b)|\bstd\.\w+\(|\.libsonnet\b|::?\s*params\.\w+", re.MULTILINE)
_NOTEBOOK = re.compile(r'"nbformat"\s*:')
EXPECTED = "a manifest with its values"
RENDER = (
    "Render it first, or import the object of a cluster: `kubectl get tfjob NAME -o yaml | tfd import -`. "
    "A sweep becomes one job file per trial."
)


def in_text(text: str) -> tuple[str, int] | None:
    """Return the first placeholder of a text that is not valid YAML, and its line; None if there is none."""
    if _NOTEBOOK.search(text):
        return "a notebook", 1
    if found := _TEMPLATE.search(text):
        return f"the placeholder {found[0]}", text.count("\n", 0, found.start()) + 1
    if found := _JSONNET.search(text):
        return f"jsonnet ({found[0].strip()})", text.count("\n", 0, found.start() + len(found[0])) + 1
    if found := _VARIABLE.search(text):
        return f"the placeholder {found[0]}", text.count("\n", 0, found.start()) + 1
    return None


def refuse_placeholders(manifest: Field) -> None:
    """Refuse a manifest with a placeholder in any name or value that somebody wrote.

    A shell script has variables of its own. There, only what a shell cannot read is a placeholder.

    Raises:
        RefusedError: the placeholder and its field.

    """
    for place, script in _texts(manifest):
        found = _TEMPLATE.search(place.value) or (None if script else _VARIABLE.search(place.value))
        name = found[0] if found else next(iter(unknown_variables(place.value)), None) if script else None
        if name is not None:
            raise RefusedError(place.path, f"the placeholder {name}", EXPECTED, RENDER)


def _texts(place: Field, script: bool = False) -> Iterator[tuple[Field, bool]]:
    """Yield each string, and whether a shell reads it."""
    if isinstance(place.value, str):
        yield place, script
    elif isinstance(place.value, dict):
        shell = is_script(place.value.get("command"), place.value.get("args"))
        for child in place.children():
            if not _is_noise(child):
                yield from _texts(child, script or (shell and child.path[-1] in ("command", "args")))
            yield Field(child.path, str(child.path[-1]), child.ledger), False
    elif isinstance(place.value, list):
        for child in place.items():
            yield from _texts(child, script)


def _is_noise(place: Field) -> bool:
    return place.path[-1] in ("managedFields", "status", "kubectl.kubernetes.io/last-applied-configuration")
