#!/usr/bin/env bash
# Releases the version that Chart.yaml names, from its tag, to the registry of the repository's owner.
#   publish   pushes the chart and both images, these with SBOM and build provenance, and prints name and digest of each
#   verify    checks the signed provenance of all three, as a user would
# Environment: GITHUB_REPOSITORY, GITHUB_REF_NAME, GITHUB_ACTOR, GH_TOKEN; GITHUB_OUTPUT takes what is printed.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
version=$(sed -n 's/^version: //p' charts/tf-distributed/Chart.yaml)
[ "$GITHUB_REF_NAME" = "tf-distributed-$version" ] || {
  echo "release: the tag is $GITHUB_REF_NAME, but Chart.yaml says $version: tag tf-distributed-$version" >&2
  exit 1
}
registry=ghcr.io/$(tr '[:upper:]' '[:lower:]' <<<"$GITHUB_REPOSITORY")
say() { echo "$1" | tee -a "${GITHUB_OUTPUT:-/dev/null}"; }

publish() {
  local folder target
  folder=$(mktemp -d)
  helm registry login ghcr.io --username "$GITHUB_ACTOR" --password-stdin <<<"$GH_TOKEN"
  docker login ghcr.io --username "$GITHUB_ACTOR" --password-stdin <<<"$GH_TOKEN"
  # The default builder can't attach an SBOM.
  docker buildx create --use >/dev/null
  for target in trainer tensorboard; do
    docker buildx build -f trainer/Dockerfile --target "$target" --tag "$registry/$target:$version" \
      --sbom=true --provenance=mode=max --metadata-file "$folder/$target.json" --push .
    say "$target=$registry/$target"
    say "$target-digest=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "$folder/$target.json")"
  done
  helm package charts/tf-distributed --destination "$folder"
  helm push "$folder/tf-distributed-$version.tgz" "oci://$registry/charts" 2>&1 | tee "$folder/push" >&2
  say "chart=$registry/charts/tf-distributed"
  say "chart-digest=$(sed -n 's/^Digest: //p' "$folder/push")"
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
