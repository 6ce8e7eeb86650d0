"""The chart's rules between keys, for many job files in one Helm process.

A Helm process takes about 100 ms, nearly all of it start-up. The chart's rules are a named template
(`tf-distributed.problems`). A temporary chart with the named templates of the real one applies them to many files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tfd.jobfile import helm

# Enough files to make the start of Helm cheap, few enough to keep every core busy.
_GROUP = 250
_DEFINE = 'define "tf-distributed.problems"'
# The values come complete, as Helm would merge them: a subchart per file takes Helm ten times as long.
_TEMPLATE = """\
{{- $found := dict -}}
{{- range $path, $_ := .Files.Glob "files/*.json" -}}
{{- $file := $.Files.Get $path | fromJson -}}
{{- $release := dict "Name" $file.run "Namespace" $file.team "Service" "Helm" "IsInstall" true "Revision" 1 -}}
{{- $root := dict "Values" $file.values "Release" $release "Chart" $.Chart "Capabilities" $.Capabilities -}}
{{- $_ := set $found (base $path) (include "tf-distributed.problems" $root | fromJsonArray) -}}
{{- end }}
{{ $found | toJson }}
"""


@dataclass(frozen=True)
class Candidate:
    """What the rules are applied to: a run, its team and its values, merged over the defaults of the chart."""

    run: str
    team: str
    values: dict[str, Any]


def has_rules(chart: Path) -> bool:
    """Return whether `chart` has its rules in a define. A chart without it is rendered file by file."""
    return any(_DEFINE in path.read_text(encoding="utf-8") for path in _defines(chart))


def broken(candidates: Iterable[Candidate], chart: Path) -> Iterator[list[str] | None]:
    """Yield for each candidate the messages of all rules that it breaks; None where Helm failed on it.

    A group of candidates is checked as soon as it is complete, so `candidates` may read files.
    """
    remaining = iter(candidates)
    groups = iter(lambda: list(islice(remaining, _GROUP)), [])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(lambda group: _split(group, chart), groups):
            yield from found


def _split(candidates: Sequence[Candidate], chart: Path) -> list[list[str] | None]:
    """Return what `broken` yields. A failure ends the whole Helm process: a group that fails is split in two."""
    found = _apply(candidates, chart)
    if found is not None:
        return [*found]
    if len(candidates) == 1:
        return [None]
    half = len(candidates) // 2
    return [*_split(candidates[:half], chart), *_split(candidates[half:], chart)]


def _apply(candidates: Sequence[Candidate], chart: Path) -> list[list[str]] | None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copyfile(chart / "Chart.yaml", root / "Chart.yaml")
        (root / "templates").mkdir()
        for number, path in enumerate(_defines(chart)):
            shutil.copyfile(path, root / "templates" / f"_{number}.tpl")
        (root / "templates" / "found.yaml").write_text(_TEMPLATE, encoding="utf-8")
        (root / "files").mkdir()
        for number, each in enumerate(candidates):
            text = json.dumps({"run": each.run, "team": each.team, "values": each.values})
            (root / "files" / f"{number}.json").write_text(text, encoding="utf-8")
        command = [helm.find_helm(), "template", "check", folder, "--kube-version", helm.KUBERNETES]
        seconds = helm.SECONDS * (1 + len(candidates) // 10)
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
    if done.returncode != 0:
        return None
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    return [found[f"{number}.json"] for number in range(len(candidates))]


def _defines(chart: Path) -> list[Path]:
    return sorted((chart / "templates").rglob("_*.tpl"))
