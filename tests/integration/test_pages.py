"""The pages that train, word by word: a new run, its training, an estimate from its speed, and the guides."""

import json
from pathlib import Path

import pytest

from tests.chart.rejected import VERSION
from tests.pages.blocks import unmarked
from tests.pages.world import GUIDES, World, create

pytestmark = pytest.mark.processes
PAGES = unmarked()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return create(tmp_path_factory.mktemp("world"), VERSION)


def test_first_run_of_the_page_install_ends_with_the_accuracy_that_the_page_names(world: World, tmp_path: Path) -> None:
    world.play(PAGES["docs/install.md"], tmp_path)
    done = json.loads((tmp_path / "first" / "runs" / "digits-1" / "DONE").read_text())
    assert done["metrics"]["accuracy"] >= 0.95


def test_estimate_of_the_page_scaling_reads_a_report_and_a_run(world: World, tmp_path: Path) -> None:
    printed = world.play(PAGES["docs/guides/scaling.md"], tmp_path)
    assert "trainable parameters" in printed
    assert "Best: " in printed


@pytest.mark.parametrize("page", sorted(GUIDES))
def test_reader_of_a_guide_sees_what_it_shows(world: World, page: str, tmp_path: Path) -> None:
    world.follow(page, tmp_path / "runs")
