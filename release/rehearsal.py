"""The rehearsal: the release into a registry of this machine, and what a user and an attacker do with it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from devcluster import images
from devcluster.cli import exclusive
from devcluster.paths import cache, write
from devcluster.repository import chart_version
from devcluster.shell import DevclusterError, log, refusal, run
from release import build, sbom, statements, walkthrough
from release.contents import CHART, Artifact, charts, packages
from release.publishing import Plan, publish, verify
from release.registry import copy_signatures, move_tag
from release.signing import PROVENANCE, Signer, TamperedError, new_key

BUILDER = "https://tf-distributed.github.io/release/rehearsal"
PROJECT = "tf-distributed/tf-distributed"
PROGRAMS = ("buildah", "debootstrap", "unshare")


def check() -> None:
    """Raise DevclusterError if a program that builds images is missing."""
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        fix = "Run apt-get install -y --no-install-recommends buildah debootstrap util-linux."
        raise DevclusterError(refusal("PATH", f"a machine without {', '.join(missing)}", "all of them", fix))


def files() -> Path:
    """Return the folder of the packages and charts."""
    return cache() / "release" / "files"


def rehearse(registry: str, targets: tuple[str, ...]) -> list[Artifact]:
    """Publish to a registry without TLS, verify, and show that changed artifacts are refused.

    Args:
        registry: address of the registry.
        targets: the images.

    """
    for chart in charts():
        lint(chart)
    folder = files()
    build.new_folder(folder)
    with exclusive("images"):
        base = images.base_image()
        arguments = {"BASE": base, "GO": images.helm_image(base)}
    signer = Signer(key=new_key(cache() / "release" / "key"), plain=True)
    plan = Plan(f"{registry}/{PROJECT}", targets, signer, BUILDER, folder, arguments)
    published = publish(plan)
    verified = verify(plan)
    if verified != published:
        raise DevclusterError(f"The verified release {verified} differs from the published release {published}.")
    for artifact in verified:
        click.echo(f"verified  {artifact.reference}")
    as_user(plan)
    tamper(plan)
    return published


def lint(chart: Path) -> None:
    """Check a chart as Helm does. The tests compare its metadata with the rules of Artifact Hub."""
    run(["helm", "lint", "--strict", "--quiet", chart, "--set", "storage.claim=runs"])


def as_user(plan: Plan) -> None:
    """Read the charts from the registry, and follow the first page with the packages."""
    for chart in charts():
        address = f"oci://{plan.registry}/charts/{chart.name}"
        readme = run(["helm", "show", "readme", address, "--version", chart_version(), "--plain-http"])
        if readme.strip() != (chart / "README.md").read_text(encoding="utf-8").strip():
            raise DevclusterError(f"{address}: helm show readme prints another text than {chart.name}/README.md.")
        click.echo(f"read      {address}")
    walkthrough.engineer(plan.folder)


def tamper(plan: Plan) -> None:
    """Replace the last image, the first chart and the wheel by changed ones, and show that each is refused."""
    wheel, _ = packages(plan.folder)
    changed = wheel.with_name("changed")
    changed.write_bytes(wheel.read_bytes() + b"\n")
    refused(f"a changed {wheel.name}", lambda: plan.signer.verify_file(changed, wheel))
    listed = f"a changed {wheel.name} with the list of packages of the original"
    refused(listed, lambda: plan.signer.verify_file_attestation(changed, sbom.KIND, wheel))
    changed.unlink()

    name = f"{plan.registry}/charts/{CHART.name}"
    original = plan.signer.verify(name)
    with tempfile.TemporaryDirectory(prefix="tfd-release-") as folder:
        copy = shutil.copytree(CHART, Path(folder, CHART.name))
        with (copy / "values.yaml").open("a") as values:
            values.write("# changed\n")
        fake = build.chart(copy, plan.registry, Path(folder), ["--plain-http"])
    refuse_pushed(plan, original, fake)

    target = plan.images[-1]
    name, local = f"{plan.registry}/{target}", build.local_name(target)
    original = plan.signer.verify(name)
    with tempfile.TemporaryDirectory(prefix="tfd-release-") as folder:
        write(Path(folder, "changed"), "changed\n")
        file = write(Path(folder, "Dockerfile"), f"FROM localhost/{local}\nCOPY changed /changed\n")
        images.buildah("bud", "--tag", f"changed:{chart_version()}", "--file", file, folder)
        fake = build.push(f"changed:{chart_version()}", name, plain=True)
    refuse_pushed(plan, original, fake)
    verify(plan)
    log("the original chart and image are accepted again")


def refuse_pushed(plan: Plan, original: str, fake: Artifact) -> None:
    """Show that an artifact under the tag of the original is refused, and restore the tag.

    It is refused also with the signature of the original, and with a signature of its own as another artifact.
    """
    refused(f"a changed {fake.name}", lambda: plan.signer.verify(fake.name))
    copy_signatures(fake.name, original, fake.digest)
    refused(f"a changed {fake.name} with the signature of the original", lambda: plan.signer.verify(fake.name))
    statement = f"a changed {fake.name} with the provenance of the original"
    refused(statement, lambda: plan.signer.verify_attestation(fake.reference, PROVENANCE))
    with tempfile.TemporaryDirectory(prefix="tfd-release-") as folder:
        other = statements.provenance(plan.builder, "another", Path(folder, "provenance.json"))
        plan.signer.sign(fake)
        plan.signer.attest(fake, PROVENANCE, other)
    refused(f"another signed artifact as {fake.name}", lambda: verify(plan))
    move_tag(fake.name, chart_version(), original)


def refused(what: str, verification: Callable[[], object]) -> None:
    """Show that a verification fails.

    Raises:
        DevclusterError: it succeeded.

    """
    try:
        verification()
    except TamperedError as error:
        click.echo(f"refused   {what}: {str(error).splitlines()[-1]}")
        return
    raise DevclusterError(f"The verification accepted {what}.")
