"""The files of a new repository: those of `starter`, and those that this project uses itself."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfd import assets
from tfd.jobfile.copy import chart_version
from tfd.review.analysis.secrets import secret_words
from tfd.text import refusal, shown

# Argo CD, Kubernetes and the review use the name of a team as a folder, a namespace and an AppProject.
_TEAM = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_RESERVED = re.compile(r"argocd|default|examples|kube-.*")
# The address is in a YAML text in double quotes, where a backslash begins an escape.
_REPOSITORY = re.compile(r"(?=[!-~]+\Z)((https|ssh)://[^\"'{}\\]+|[^\"'{}\\:/]+@[^\"'{}\\:]+:[^\"'{}\\]+)")
_USER = re.compile(r"//([^/]*)@")
# The login of an enterprise managed user has an underscore.
_OWNER = re.compile(r"@[-_A-Za-z0-9]+(/[-_A-Za-z0-9]+)?")
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
                rule = (
                    "lower-case letters, digits and -, at most 63 characters, with no - at an end, "
                    "and neither argocd, default, examples nor kube-NAME"
                )
                raise StartError(refusal("--team", shown(team), rule, "Choose another name."))
            for other in self.teams:
                if other.startswith(f"{team}-"):
                    rule = "no name that begins with another name and a hyphen"
                    fix = "Rename one of the teams."
                    raise StartError(refusal("--team", f"{shown(team)} and {shown(other)}", rule, fix))
        user = _USER.search(self.repository)
        if user and (":" in user[1] or secret_words(user[1])):
            # The message does not repeat the secret, because CI services keep their logs.
            fix = "Remove it, and give it to Argo CD with `argocd repo add`."
            raise StartError(refusal("--repository", "a password or token", "an address without one", fix))
        if self.repository and not _REPOSITORY.fullmatch(self.repository):
            rule = "https://, ssh:// or USER@HOST:PATH, in ASCII without spaces, quotes, braces or backslashes"
            fix = "Set the address that `git clone` uses."
            raise StartError(refusal("--repository", shown(self.repository), rule, fix))
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
    # All at once, because a value may contain another word.
    fields = re.compile("|".join(words))
    found = {f"jobs/examples/{_EXAMPLE}": _text(assets.EXAMPLES / _EXAMPLE)}
    for path in assets.SHARED:
        found[str(path.relative_to(assets.ROOT))] = _text(path)
    for path in sorted(each for each in assets.STARTER.rglob("*") if each.is_file()):
        text = _text(path)
        found[str(path.relative_to(assets.STARTER))] = fields.sub(lambda word: words[word[0]], text)
    return dict(sorted(found.items()))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
