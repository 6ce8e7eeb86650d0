#!/usr/bin/env bash
# Releases the version of Chart.yaml from its tag, to the registry of the repository's owner.
# Usage: scripts/release.sh publish|verify|index
# `publish` pushes the images and charts with their signatures, provenance and lists of packages.
# It uploads the packages to the page of the release. `verify` downloads the packages, and checks all of them as a user does.
# `index` uploads the packages that `verify` has checked to PyPI. `publish` and `verify` run as root.
# The steps are those of `make release-rehearsal`: python -m release.
# Environment: GITHUB_REPOSITORY, GITHUB_REF_NAME, GITHUB_WORKFLOW_REF, GITHUB_ACTOR, GH_TOKEN.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
version=$(sed -n 's/^version: //p' charts/tf-distributed/Chart.yaml)
[ "$GITHUB_REF_NAME" = "tf-distributed-$version" ] || {
  echo "release: GITHUB_REF_NAME: got \"$GITHUB_REF_NAME\"; expected \"tf-distributed-$version\". Tag the version of Chart.yaml." >&2
  exit 1
}
registry=ghcr.io/$(tr '[:upper:]' '[:lower:]' <<<"$GITHUB_REPOSITORY")
identity=https://github.com/$GITHUB_WORKFLOW_REF

publish() {
  helm registry login ghcr.io --username "$GITHUB_ACTOR" --password-stdin <<<"$GH_TOKEN"
  # buildah and cosign read this login too.
  docker login ghcr.io --username "$GITHUB_ACTOR" --password-stdin <<<"$GH_TOKEN"
  python -m release publish "$registry" --identity "$identity"
  gh release create "$GITHUB_REF_NAME" --verify-tag --notes-from-tag build/release/*.{whl,tar.gz,cdx.json,sigstore.json}
}

verify() {
  rm -rf build/release
  gh release download "$GITHUB_REF_NAME" --dir build/release
  python -m release verify "$registry" --identity "$identity"
}

# PyPI trusts the identity of this workflow.
index() { "$(scripts/uv.sh)" publish --trusted-publishing always build/release/*.whl build/release/tf_distributed-*.tar.gz; }

"$1"
