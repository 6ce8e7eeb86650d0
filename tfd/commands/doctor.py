"""`tfd doctor`."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from tfd.commands.options import REFUSED, ending
from tfd.doctor import argocd, cluster, probe, team
from tfd.doctor.answers import allowed
from tfd.doctor.finding import Finding, Verdict
from tfd.doctor.report import render
from tfd.jobfile.schema import defaults
from tfd.remote.kubectl import ClusterError, Kubectl
from tfd.text import json_text, refusal


@click.command("doctor", short_help="Check what the cluster has for runs.")
@click.option("-n", "--namespace", help="Namespace of the team. Default: that of the current context.")
@click.option("--argocd-namespace", default="argocd", show_default=True, help="Namespace of Argo CD.")
@click.option(
    "--probe",
    "probing",
    is_flag=True,
    help="Create three small pods, two NetworkPolicies and a claim, and delete them.",
)
@click.option("--image", help="Image of the pods of --probe. Default: the image of job files.")
@click.option("--storage-class", help="Class of the claim of --probe. Default: that of the cluster.")
@click.option("--claim", metavar="NAME", help="Existing claim that --probe writes to, in place of a new one.")
@click.option("--json", "json_output", is_flag=True, help="Print the findings as JSON.")
def command(
    namespace: str | None, argocd_namespace: str, probing: bool, image: str | None, storage_class: str | None,
    claim: str | None, json_output: bool,
) -> None:  # fmt: skip
    """Check what the cluster has for runs: one line for each requirement, with a verdict and a fix.

    The verdict is `ok`, `warn` for what only some runs need, or `fail` for what all runs need. The command uses
    `kubectl` with your own rights. What you may not read is a warning.

    Without --probe, nothing is created. --probe creates three pods, two NetworkPolicies and a claim in the namespace of
    the team, and deletes them. They show whether nodes can pull the image, tasks can write to ReadWriteMany volumes,
    and NetworkPolicy is enforced.

    \b
    Exit codes:
      0  No finding is `fail`.
      1  A finding is `fail`.
      2  The cluster did not answer.

    Example: tfd doctor --namespace vision --probe
    """  # noqa: D301 - click reads the escape
    if claim and storage_class:
        raise click.UsageError(refusal("--storage-class", "--claim as well", "one of the two", "Remove one of them."))
    with ending(unable=(ClusterError,)):
        place = namespace or Kubectl().current_namespace()
        found = _findings(place, argocd_namespace)
        if probing:
            chosen = image or str(defaults()["image"])
            found += allowed("probe", lambda: probe.checked(place, chosen, storage_class, claim))
    failed = any(each.verdict is Verdict.FAIL for each in found)
    if json_output:
        click.echo(json_text({"namespace": place, "ok": not failed, "findings": [each.as_json() for each in found]}))
    else:
        Console(soft_wrap=True).print(render(found), end="")
    sys.exit(REFUSED if failed else 0)


def _findings(place: str, argocd_namespace: str) -> list[Finding]:
    """Return what the API shows without a change to the cluster."""
    return [
        *allowed("Kubernetes", cluster.version),
        *allowed("API groups", cluster.apis),
        *allowed("ReadWriteMany", cluster.storage),
        *allowed("GPUs", cluster.gpus),
        *allowed("namespace", lambda: team.checked(place)),
        *allowed("Argo CD", lambda: argocd.checked(argocd_namespace, place)),
    ]
