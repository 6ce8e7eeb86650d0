"""The rendered command of TensorBoard, run for real."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.rendering import objects, of_kind
from tests.loopback import LOOPBACKS, free_port
from trainer.peers.probe import probe


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    [deployment] = of_kind(objects({"storage": {"claim": "runs"}}), "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    port, folder = free_port(), tmp_path_factory.mktemp("logs")
    local = {"6006": str(port), "/runs": str(folder)}
    words = [local.get(word, word) for word in [*container["command"], *container["args"]]]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with subprocess.Popen(words, env={"PATH": path, "HOME": str(folder)}, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if "http://" in line:
                break
        yield port
        process.kill()


@pytest.mark.parametrize("host", LOOPBACKS)
def test_tensorboard_answers_on_both_families(port: int, host: str) -> None:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert probe(address) is None
