#!/usr/bin/env bash
# Resolves pyproject.toml into requirements/*.txt: exact versions and hashes, no URLs.
# dev.txt is all of it; the others are what goes into the images, at the same versions (the GPU image adds CUDA).
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(ls -d "${TFD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tf-distributed}"/uv-"$(sha256sum requirements/uv.txt | cut -c1-12)"/bin/uv)
compile() { "$uv" pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.11 "$@"; }
compile --upgrade --extra trainer --group dev pyproject.toml -o requirements/dev.txt
image() {
  compile --constraint requirements/dev.txt "$out/$1.in" -o "requirements/$1.txt"
}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["trainer"], sep="\n")' >"$out/trainer.in"
grep -E '^(tensorboard|setuptools)[^a-z-]' "$out/trainer.in" >"$out/tensorboard.in"
sed 's/^tensorflow-cpu/tensorflow[and-cuda]/' "$out/trainer.in" >"$out/trainer-gpu.in"
image trainer
image trainer-gpu
image tensorboard
