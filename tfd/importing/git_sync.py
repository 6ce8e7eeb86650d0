"""Turns git-sync into `code.git`: its repository, its token, and the folder that it fetches the repository into."""

from __future__ import annotations

import re

from tfd.importing.context import Context, Move
from tfd.importing.ledger import Field
from tfd.importing.paths import is_within
from tfd.importing.volumes import Volume
from tfd.text import shown

_IMAGE = re.compile(r"(^|/)(git-sync|git)(:|@|$)|git-sync")
_CODE = "/code"


def is_git_sync(init: Field) -> bool:
    """Return whether an init container fetches a repository."""
    return bool(_IMAGE.search(str(init.child("image").value)))


def read_git_sync(context: Context, init: Field) -> None:
    """Set code.git. git-sync follows a branch, and a run has a commit."""
    url = _setting(init, "repo")
    known = context.draft.get("code", "git", "repository")
    if known not in (None, url) and not context.draft.is_open(("code", "git", "repository")):
        raise init.refused("one repository", "Put the other ones into the image.", f"a second one, {shown(url)}")
    if re.match(r"https://[^@\s]+$", url):
        context.draft.set("code", "git", "repository", value=url)
    else:
        question = "which https:// address has the repository of git-sync?"
        context.draft.ask("code", "git", "repository", question=question)
    branch = _setting(init, "branch") or _setting(init, "rev") or _setting(init, "ref")
    question = f"which commit does the run train with{f' (git-sync followed {branch})' if branch else ''}?"
    context.draft.ask("code", "git", "commit", question=question, hints=("Print it with `git rev-parse HEAD`.",))
    for variable in init.child("env").items():
        if re.search(r"PASSWORD|TOKEN", variable.child("name").text()):
            _token(context, variable)
    init.changed("code.git", "a commit at /code and on PYTHONPATH instead of a branch that moves")


def _token(context: Context, variable: Field) -> None:
    reference = variable.at("valueFrom", "secretKeyRef")
    if reference.value:
        token = {name: reference.child(name).text() for name in ("name", "key")}
        context.draft.set("code", "git", "tokenSecret", value=token)
    else:
        question = f"which key of a Secret has the value of {variable.child('name').text()}?"
        context.draft.ask("code", "git", "tokenSecret", question=question, hints=("Set {name: SECRET, key: KEY}.",))


def _setting(init: Field, name: str) -> str:
    """Return a setting of git-sync, from its environment or its options; empty if it has none."""
    names = (f"GIT_SYNC_{name.upper()}", f"GITSYNC_{name.upper()}")
    for variable in init.child("env").items():
        if variable.child("name").text() in names and variable.child("value").value:
            return variable.child("value").text()
    option = re.search(rf"--?{name}[= ](\S+)", " ".join(init.child("command").words() + init.child("args").words()))
    return option[1] if option else ""


def is_checkout(context: Context, volume: Volume) -> bool:
    """Return whether git-sync fetches its repository into a volume; then its path has moved to /code."""
    name = volume.mounts[0].child("name").value
    for init in volume.roles[0].pod.child("initContainers").items():
        for mount in init.child("volumeMounts").items():
            if mount.child("name").value == name:
                old = f"{volume.at}/{_folder(init, mount.child('mountPath').text().rstrip('/'))}".rstrip("/")
                if old != _CODE:
                    context.moved.append(Move(old, _CODE, ("code", "git", "folder")))
                return True
    return False


def _folder(init: Field, mounted: str) -> str:
    """Return the folder of the repository in the volume that git-sync has mounted."""
    repository = _setting(init, "repo").rstrip("/").rpartition("/")[2].removesuffix(".git")
    link = _setting(init, "dest") or _setting(init, "link") or repository
    root = _setting(init, "root").rstrip("/") or mounted
    inside = root.removeprefix(mounted) if is_within(root, mounted) else ""
    return f"{inside}/{link}".strip("/")
