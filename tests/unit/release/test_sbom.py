"""The list of packages of a release."""

import json
from pathlib import Path

from devcluster.repository import chart_version
from release import sbom
from tfd.jobfile.helm import find_helm


def test_go_program_lists_its_modules(tmp_path: Path) -> None:
    file = sbom._go(Path(find_helm()), tmp_path / "helm.json")
    names = {each["name"] for each in json.loads(file.read_text())["components"]}
    assert {"k8s.io/client-go", "oras.land/oras-go/v2"} <= names


def test_merged_list_has_all_packages_and_one_root(tmp_path: Path) -> None:
    parts = []
    for name in ("a", "b"):
        parts.append(tmp_path / f"{name}.json")
        own = [{"ref": name, "dependsOn": []}, {"ref": "root of the part", "dependsOn": [name]}]
        parts[-1].write_text(json.dumps({"components": [{"name": name, "bom-ref": name}], "dependencies": own}))
    merged = json.loads(sbom._merged("container", "trainer", parts, tmp_path / "merged.json").read_text())
    assert [each["name"] for each in merged["components"]] == ["a", "b"]
    assert [each["ref"] for each in merged["dependencies"]] == ["a", "b"]
    assert merged["metadata"]["component"]["name"] == "trainer"
    assert merged["metadata"]["component"]["version"] == chart_version()
