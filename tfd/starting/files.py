"""The files of a new repository: those of `starter`, and those that this project uses itself."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfd import assets
from tfd.jobfile.copy import chart_version
from tfd.text import refusal, shown

# Argo CD, Kubernetes and the review use the name of a team as a folder, a namespace and an AppProject.
_TEAM = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_RESERVED = re.compile(r"default|examples|kube-.*")
_REPOSITORY = re.compile(r"(https|ssh)://[^\s\"'{}]+|[^\s\"'{}:/]+@[^\s\"'{}:]+:[^\s\"'{}]+")
_OWNER = re.compile(r"@[-A-Za-z0-9]+(/[-_A-Za-z0-9]+)?")
_EXAMPLE = "digits-one-device.yaml"


class StartError(Exception):
    """The repository is not created; the message names the reason and the fix."""


@dataclass(frozen=True)
class Settings:
    """What the user chooses. An empty text is filled in later, by hand."""

    teams: Sequence[str] = ()
    repository: str = ""
    """Address under which Argo CD reaches the repository."""
    owner: str = ""
    """Login or team on GitHub that must approve changes."""

    def check(self) -> None:
        """Raise `StartError` for a value that Argo CD, Kubernetes or GitHub would refuse."""
        for team in self.teams:
            if not _TEAM.fullmatch(team) or _RESERVED.fullmatch(team):
                rule = "lower-case letters, digits and -, and neither default, examples nor kube-NAME"
                raise StartError(refusal("--team", shown(team), rule, "Choose another name."))
        if self.repository and not _REPOSITORY.fullmatch(self.repository):
            fix = "Set the address that `git clone` uses."
            raise StartError(refusal("--repository", shown(self.repository), "https://, ssh:// or USER@HOST:PATH", fix))
        if self.owner and not _OWNER.fullmatch(self.owner):
            fix = "Write it as in CODEOWNERS."
            raise StartError(refusal("--owner", shown(self.owner), "@LOGIN or @ORGANIZATION/TEAM", fix))


def files(settings: Settings) -> dict[str, str]:
    """Return the text of each file, by path."""
    words = {
        "@VERSION@": chart_version(),
        "@REPOSITORY@": settings.repository,
        "@TEAMS@": json.dumps({team: {} for team in settings.teams}),
        "@OWNER@": settings.owner or "@maintainers",
    }
    found = {f"jobs/examples/{_EXAMPLE}": _text(assets.EXAMPLES / _EXAMPLE)}
    for path in assets.SHARED:
        found[str(path.relative_to(assets.ROOT))] = _text(path)
    for path in sorted(each for each in assets.STARTER.rglob("*") if each.is_file()):
        text = _text(path)
        for word, value in words.items():
            text = text.replace(word, value)
        found[str(path.relative_to(assets.STARTER))] = text
    return dict(sorted(found.items()))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
