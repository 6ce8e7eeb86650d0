#!/usr/bin/env bash
# Resolves pyproject.toml into requirements/*.txt: exact versions and hashes, no URLs.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(ls -d "${TFD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tf-distributed}"/uv-"$(sha256sum requirements/uv.txt | cut -c1-12)"/bin/uv)
compile() { "$uv" pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.11 "$@"; }
compile --upgrade --extra trainer --group dev pyproject.toml -o requirements/dev.txt
