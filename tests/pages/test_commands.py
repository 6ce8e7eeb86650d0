"""The commands of the pages run, word by word, in the order of each page. The marks of the others: blocks.py."""

from pathlib import Path

import pytest

from tests.chart.rejected import VERSION
from tests.pages.blocks import Block, unmarked
from tests.pages.world import TRAINING, World, create

UPGRADE = "docs/platform/upgrade.md"
PAGES = {page: found for page, found in unmarked().items() if page not in TRAINING}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return create(tmp_path_factory.mktemp("world"), VERSION)


@pytest.mark.parametrize("page", sorted(PAGES.keys() - {UPGRADE}))
def test_commands_of_the_page_run(world: World, page: str, tmp_path: Path) -> None:
    world.play(PAGES[page], tmp_path)


def test_upgrade_of_a_copy_keeps_its_changes_and_takes_those_of_the_release(world: World, tmp_path: Path) -> None:
    world.play(PAGES[UPGRADE], tmp_path)
    assert (tmp_path / "review.yaml").read_text().endswith("# ours\n")
    assert (tmp_path / "README.md").read_text().endswith("Release 0.1.0\nRelease 0.2.0\n")
    assert "chartVersion: 0.1.0\n" in (tmp_path / "jobs" / "vision" / "digits-41.yaml").read_text()
    assert "tf-distributed-0.2.0" in world.must("git ls-remote --tags origin", tmp_path)


def test_command_that_fails_is_reported(world: World, tmp_path: Path) -> None:
    wrong = Block("docs/install.md", 1, "tfd check no-such-folder\ntrue\n", "", "")
    with pytest.raises(AssertionError, match="no-such-folder"):
        world.play([wrong], tmp_path)
