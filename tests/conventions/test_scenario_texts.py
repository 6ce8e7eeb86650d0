"""The scenarios of tests/e2e search for texts that the programs still log, because nobody runs them at every change."""

import pytest

from tests.conventions.repository import ROOT, tracked

# Text in the scenarios -> text in the source of the trainer, the chart or the Argo CD settings.
TEXTS = {
    "training from step ": "training from step %d to %d",
    "was done already": "was done already",
    "missing ps-0": "missing {describe(",
    "serving on": "serving on %s",
    "warm start: weights and optimizer state of ": "warm start: weights and optimizer state of %s",
    "exit 0:": "exit %d: %s",
    r"step \d+/\d+ loss": "step %d/%d loss %s",
    "ps.replicas: got 3; expected 0 for OneDevice.": '"key" "ps.replicas"',
    "CHARTVERSION-IS-NOT-SET": "CHARTVERSION-IS-NOT-SET",
}
SOURCES = ("trainer/", "charts/tf-distributed/templates/", "argocd/templates/")


def text_of(prefixes: tuple[str, ...]) -> str:
    """Return the text of all files below some folders."""
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in tracked() if name.startswith(prefixes))


@pytest.mark.parametrize(("searched", "logged"), TEXTS.items(), ids=TEXTS)
def test_text_of_a_scenario_is_in_a_program(searched: str, logged: str) -> None:
    assert searched in text_of(("tests/e2e/",))
    assert logged in text_of(SOURCES)
