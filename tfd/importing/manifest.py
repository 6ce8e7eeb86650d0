"""Finds the one training job in a file, whatever operator and version it is written for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from tfd.importing import templates
from tfd.importing.ledger import Field, Ledger, RefusedError
from tfd.jobfile import helm_yaml
from tfd.jobfile.helm_yaml import Document, Key, YamlError
from tfd.kubernetes import ROLES
from tfd.text import refusal, shown

KINDS = ("TFJob", "Job of Volcano", "ElasticJob")
_TFJOB = re.compile(r"(?:kubeflow\.org|training\.kubedl\.io|kubedl\.io|tensorflow\.org)/v\w+")
_VOLCANO = re.compile(r"batch\.volcano\.sh/v\w+")
_ELASTIC = re.compile(r"elastic\.iml\.github\.io/v\w+")
# An escape of JSON; one character beyond U+FFFF has two.
_ESCAPE = re.compile(r"\\(?:(?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)
_ROLES = {"chief": "chief", "master": "chief", "ps": "ps", "worker": "worker", "evaluator": "evaluator"}
_WRAPPERS = ("List", "TFJobList", "JobList")
_SIZE_FIX = "Import one object, without managedFields: `kubectl get tfjob NAME -o yaml | tfd import -`."


@dataclass(frozen=True)
class Replicas:
    """The tasks of one role, as the manifest describes them."""

    role: str
    """chief, ps, worker or evaluator."""
    name: str
    """Its name in the manifest."""
    count: int
    block: Field
    container: Field

    @property
    def pod(self) -> Field:
        """The spec of the pods."""
        return self.block.at("template", "spec")


@dataclass(frozen=True)
class Manifest:
    """One training job of another operator."""

    root: Field
    kind: str
    """TFJob, Job or ElasticJob."""
    version: str
    replicas: tuple[Replicas, ...]
    document: Document
    prefix: Key
    """The place of the object in its document."""
    others: tuple[str, ...] = ()
    """Kind and name of each other object of the file."""

    @property
    def spec(self) -> Field:
        """The spec of the job."""
        return self.root.child("spec")

    @property
    def is_volcano(self) -> bool:
        """Whether Volcano runs it."""
        return self.kind == "Job"

    def roles(self, *names: str) -> list[Replicas]:
        """Return the replicas of these roles; of all roles without a name."""
        return [each for each in self.replicas if not names or each.role in names]


class UnreadableError(Exception):
    """A file without a job to import; the message has the grammar of refusals."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line, self.column = line, column


def read(text: str, select: str = "") -> Manifest:
    """Return the training job in the text of a manifest.

    Args:
        text: YAML or JSON: one or several documents, also a `List`.
        select: name of the job, where there are several.

    Raises:
        UnreadableError: the text is refused, or does not contain exactly one job.

    """
    documents = _documents(text)
    jobs = [(document, key, value) for document in documents for key, value in _objects(document) if _kind_of(value)]
    if not jobs:
        raise _no_job(text, documents)
    chosen = [job for job in jobs if not select or _name(job[2]) == select]
    if len(chosen) != 1:
        names = ", ".join(_name(value) for _, _, value in jobs)
        rule = "one job" if not select else f"the name of one job: {names}"
        fix = f"Name it with --select: {names}."
        raise UnreadableError(refusal("file" if not select else "--select", f"{len(chosen)} jobs", rule, fix))
    document, key, value = chosen[0]
    try:
        return replace(_manifest(document, key, value), others=_others(documents, value))
    except RefusedError as error:
        raise UnreadableError(str(error), *document.position((*key, *error.key))) from None


def _documents(text: str) -> list[Document]:
    size = len(text.encode(errors="surrogatepass"))
    if size > helm_yaml.MAX_BYTES:
        got, rule = f"{size:,} bytes", f"at most {helm_yaml.MAX_BYTES:,} bytes"
        raise UnreadableError(refusal("file", got, rule, _SIZE_FIX))
    if text.lstrip()[:1] in ("{", "["):
        # In JSON, a tab may indent a line, and a string contains none. YAML has no escape of two surrogates.
        text = re.sub(r"^\s+", lambda found: found[0].replace("\t", " "), text, flags=re.MULTILINE)
        text = _ESCAPE.sub(lambda found: json.loads(f'"{found[0]}"') if found["pair"] else found[0], text)
    try:
        return helm_yaml.load_documents(text)
    except YamlError as error:
        if placeholder := templates.in_text(text):
            got, line = placeholder
            raise UnreadableError(refusal("file", got, templates.EXPECTED, templates.RENDER), line) from None
        raise UnreadableError(str(error), error.line, error.column) from None


def _objects(document: Document) -> list[tuple[Key, Any]]:
    """Return the objects of a document with their places: itself, or the items of a list."""
    value = document.value
    if isinstance(value, dict) and value.get("kind") in _WRAPPERS and isinstance(value.get("items"), list):
        return [(("items", index), item) for index, item in enumerate(value["items"])]
    return [((), value)]


def _kind_of(value: Any) -> str:  # noqa: ANN401 - a manifest is anything
    """Return TFJob, Job or ElasticJob; nothing for any other object."""
    if not isinstance(value, dict):
        return ""
    kind, version = str(value.get("kind")), str(value.get("apiVersion"))
    if kind.lower() == "tfjob" and _TFJOB.fullmatch(version):
        return "TFJob"
    if kind == "Job" and _VOLCANO.fullmatch(version):
        return "Job"
    return kind if kind == "ElasticJob" and _ELASTIC.fullmatch(version) else ""


def _others(documents: list[Document], job: Any) -> tuple[str, ...]:  # noqa: ANN401 - a manifest is anything
    """Return kind and name of each object of Kubernetes that is not the job."""
    values = [value for document in documents for _, value in _objects(document) if value is not job]
    return tuple(f"{value['kind']} {_name(value)}" for value in values if isinstance(value, dict) and value.get("kind"))


def _name(value: Any) -> str:  # noqa: ANN401 - a manifest is anything
    metadata = value.get("metadata")
    found = metadata.get("name") if isinstance(metadata, dict) else None
    return found if isinstance(found, str) else "(without a name)"


def _no_job(text: str, documents: list[Document]) -> UnreadableError:
    values = [value for document in documents for _, value in _objects(document)]
    objects = [value for value in values if isinstance(value, dict)]
    kinds = [f"{each.get('apiVersion') or 'no apiVersion and'} {each.get('kind') or 'no kind'}" for each in objects]
    rule = f"one {', '.join(KINDS[:-1])} or {KINDS[-1]}"
    placeholder = templates.in_text(text)
    # An experiment of Katib or a workflow of Argo contains the job as a template.
    is_other = any("kind" in each for each in objects)
    if is_other and not (placeholder and "TFJob" in text):
        fix = "Name a manifest of one of these kinds."
        return UnreadableError(refusal("kind", ", ".join(map(shown, kinds[:3])), rule, fix))
    if placeholder:
        got, line = placeholder
        return UnreadableError(refusal("file", got, templates.EXPECTED, templates.RENDER), line)
    return UnreadableError(refusal("kind", "nothing", rule, "Name a manifest of one of these kinds."))


def _manifest(document: Document, key: Key, value: Any) -> Manifest:  # noqa: ANN401 - a manifest is anything
    root = Field((), value, Ledger())
    templates.refuse_placeholders(root)
    kind, version = _kind_of(value), str(value["apiVersion"])
    blocks = _tasks(root.child("spec")) if kind == "Job" else _replica_specs(root.child("spec"))
    replicas = tuple(_role(name, block) for name, block in blocks)
    found = [each for each in replicas if each.count]
    for role in ROLES:
        same = [each for each in found if each.role == role]
        if len(same) > 1:
            names = " and ".join(each.name for each in same)
            raise same[1].block.refused(f"one block of the role {role}", "Remove one of the two.", names)
    for each in replicas:
        if not each.count:
            each.block.dropped("it has 0 replicas, so no task uses it")
    return Manifest(root, kind, version, tuple(found), document, key)


def _replica_specs(spec: Field) -> list[tuple[str, Field]]:
    """Return names and blocks of the roles: from a mapping, or from a list with `tfReplicaType`."""
    name = next((each for each in ("tfReplicaSpecs", "replicaSpecs") if spec.child(each).value), "tfReplicaSpecs")
    specs = spec.child(name)
    if isinstance(specs.value, list):
        return [(each.child("tfReplicaType").text() or "MASTER", each) for each in specs.items()]
    if not specs.block():
        raise specs.refused("at least one role", "Add the replicas of the job.", "nothing")
    return [(str(each.path[-1]), each) for each in specs.children() if each.value is not None]


def _tasks(spec: Field) -> list[tuple[str, Field]]:
    """Return names and blocks of the tasks of Volcano. Its tensorflow plugin may rename the roles."""
    renamed: dict[str, str] = {}
    for word in spec.at("plugins", "tensorflow").words() if spec.child("plugins").value else []:
        option = re.fullmatch(r"--?(ps|worker|chief|evaluator)=(.+)", word)
        renamed |= {option[2]: option[1]} if option else {}
    tasks = spec.child("tasks").items()
    if not tasks:
        raise spec.child("tasks").refused("at least one task", "Add the tasks of the job.", "nothing")
    return [(renamed.get(each.child("name").text(), each.child("name").text()), each) for each in tasks]


def _role(name: str, block: Field) -> Replicas:
    role = _ROLES.get(name.lower())
    if role is None:
        rule = "a role that TensorFlow has: Chief or Master, PS, Worker, Evaluator"
        fix = "Rename the role, or start its program outside of the run."
        raise block.refused(rule, fix, f"the role {shown(name)}")
    count = block.child("replicas").whole(1)
    return Replicas(role, name, count, block, _container(block) if count else block)


def _container(block: Field) -> Field:
    """Return the container that runs the program. What stands next to it would need a pod with two programs."""
    containers = block.at("template", "spec", "containers")
    if not containers.items():
        raise containers.refused("one container", "Add the container that runs the program.", "nothing")
    named = [each for each in containers.items() if each.child("name").value == "tensorflow"]
    chosen = (named or containers.items())[0]
    for other in containers.items():
        if other.path != chosen.path:
            got = f"the sidecar {shown(other.child('name').value)}"
            fix = "Remove it, or start it in the program's own image."
            raise other.refused("one container per task", fix, got)
    return chosen
