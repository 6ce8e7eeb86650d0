"""Publish a release to a registry, and verify it as a user does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devcluster.shell import log, refusal
from release import build, sbom, statements
from release.contents import Artifact, charts, names, packages
from release.signing import PROVENANCE, Signer, TamperedError

LIST = "release.json"


@dataclass(frozen=True)
class Plan:
    """What is published, and how."""

    registry: str
    """The registry, and the folder of all images and charts in it."""
    images: tuple[str, ...]
    signer: Signer
    builder: str
    """The identity of what builds, as a URI."""
    folder: Path
    """Where the packages, their signatures and the list of the release are written."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Build arguments of the images."""


def publish(plan: Plan) -> list[Artifact]:
    """Build, push, sign and attest everything; return the images and charts."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    build.build_packages(plan.folder)
    for path in packages(plan.folder):
        plan.signer.sign_file(path)
    wheel, _ = packages(plan.folder)
    plan.signer.attest_file(wheel, sbom.KIND, sbom.of_wheel(wheel, plan.folder / f"{wheel.stem}.cdx.json"))
    plain = plan.signer.plain
    found = []
    for target in plan.images:
        image = build.image(target, plan.registry, plan.arguments, plain)
        listed = sbom.of_image(target, build.local_name(target), plan.folder / f"{target}.cdx.json")
        plan.signer.attest(image, sbom.KIND, listed)
        found.append(image)
    found += [build.chart(chart, plan.registry, plan.folder, ["--plain-http"] * plain) for chart in charts()]
    for artifact in found:
        log(f"signing {artifact.reference}")
        plan.signer.sign(artifact)
        name = artifact.within(plan.registry)
        built = statements.provenance(plan.builder, name, plan.folder / "provenance.json")
        plan.signer.attest(artifact, PROVENANCE, built)
    (plan.folder / LIST).write_text(json.dumps([asdict(each) for each in found], indent=1), encoding="utf-8")
    return found


def verify(plan: Plan) -> list[Artifact]:
    """Verify the signature and the statements of each image, chart and package of the plan; return images and charts.

    Raises:
        TamperedError: one of them is not what the signer has signed.

    """
    found = []
    for name in names(plan.registry, plan.images):
        artifact = Artifact(name, plan.signer.verify(name))
        _verify_provenance(plan, artifact)
        found.append(artifact)
    for artifact in found[: len(plan.images)]:
        plan.signer.verify_attestation(artifact.reference, sbom.KIND)
    for path in packages(plan.folder):
        plan.signer.verify_file(path, path)
    wheel, _ = packages(plan.folder)
    plan.signer.verify_file_attestation(wheel, sbom.KIND, wheel)
    return found


def _verify_provenance(plan: Plan, artifact: Artifact) -> None:
    """Verify that a signed statement is about an artifact of this name and version.

    A signature is about a digest only. With the signature of another artifact of the release, that artifact would be
    accepted under this name.
    """
    expected = statements.parameters(artifact.within(plan.registry))
    said = plan.signer.verify_attestation(artifact.reference, PROVENANCE)
    found = [each["buildDefinition"]["externalParameters"] for each in said]
    if expected not in found:
        fix = "Do not use it, and report it as SECURITY.md describes."
        raise TamperedError(refusal(artifact.reference, f"the provenance of {found}", str(expected), fix))
