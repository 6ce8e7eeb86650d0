"""The page about GPU nodes has the versions of the libraries in the images."""

import re

from tests.conventions.repository import ROOT

PAGE = (ROOT / "docs" / "platform" / "gpu-nodes.md").read_text(encoding="utf-8")
PACKAGES = {"CUDA": "nvidia-cuda-runtime-cu12", "cuDNN": "nvidia-cudnn-cu12", "NCCL": "nvidia-nccl-cu12"}


def test_versions_of_the_page_are_those_of_the_locks() -> None:
    listed = dict(re.findall(r"^\| (CUDA|cuDNN|NCCL) \| ([\d.]+) \|$", PAGE, flags=re.M))
    for lock in ("trainer-gpu.txt", "workbench-gpu.txt"):
        text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
        locked = {name: re.search(rf"^{package}==(\d+\.\d+)", text, flags=re.M) for name, package in PACKAGES.items()}
        assert {name: found and found[1] for name, found in locked.items()} == listed
