#!/usr/bin/env bash
# Releases the version of Chart.yaml from its tag, to the registry of the repository's owner.
# Usage: scripts/release.sh publish|verify
#   publish   pushes the chart and both images, and prints the name and digest of each; images have SBOM and provenance
#   verify    checks the signed provenance of the chart and the images, like a user
# Environment: GITHUB_REPOSITORY, GITHUB_REF_NAME, GITHUB_ACTOR, GH_TOKEN. The output is appended to GITHUB_OUTPUT.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
version=$(sed -n 's/^version: //p' charts/tf-distributed/Chart.yaml)
[ "$GITHUB_REF_NAME" = "tf-distributed-$version" ] || {
  echo "release: GITHUB_REF_NAME: got \"$GITHUB_REF_NAME\"; expected \"tf-distributed-$version\". Tag the version of Chart.yaml." >&2
  exit 1
}
registry=ghcr.io/$(tr '[:upper:]' '[:lower:]' <<<"$GITHUB_REPOSITORY")
output() { echo "$1" | tee -a "${GITHUB_OUTPUT:-/dev/null}"; }

publish() {
  local folder target
  folder=$(mktemp -d)
  helm registry login ghcr.io --username "$GITHUB_ACTOR" --password-stdin <<<"$GH_TOKEN"
  docker login ghcr.io --username "$GITHUB_ACTOR" --password-stdin <<<"$GH_TOKEN"
  # The default builder cannot attach an SBOM.
  docker buildx create --use >/dev/null
  for target in trainer tensorboard; do
    docker buildx build -f trainer/Dockerfile --target "$target" --tag "$registry/$target:$version" \
      --sbom=true --provenance=mode=max --metadata-file "$folder/$target.json" --push .
    output "$target=$registry/$target"
    output "$target-digest=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "$folder/$target.json")"
  done
  helm package charts/tf-distributed --destination "$folder"
  helm push "$folder/tf-distributed-$version.tgz" "oci://$registry/charts" 2>&1 | tee "$folder/push" >&2
  output "chart=$registry/charts/tf-distributed"
  output "chart-digest=$(sed -n 's/^Digest: //p' "$folder/push")"
  rm -rf "$folder"
}

verify() {
  local name
  for name in trainer tensorboard charts/tf-distributed; do
    gh attestation verify "oci://$registry/$name:$version" --repo "$GITHUB_REPOSITORY" \
      --signer-workflow "$GITHUB_REPOSITORY/.github/workflows/release.yaml"
  done
}

"$1"
