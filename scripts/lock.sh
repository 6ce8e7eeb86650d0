#!/usr/bin/env bash
# Resolves pyproject.toml into requirements/*.txt with exact versions and hashes, and without URLs.
# Locked versions stay unless pyproject.toml excludes them. With UPGRADE=1, all packages get their newest versions.
# dev.txt is for tests and `make demo`. The other files go into the images, with the same versions; the GPU images add CUDA.
# workbench.txt is also what `tfd workbench` installs in a checkout.
# gpu-check.txt is the environment of scripts/gpu-check.sh: the packages of the GPU image, a command line and a plot.
# browser.txt is the environment of scripts/workbench-test.sh and scripts/docs-test.sh, docs.txt that of scripts/docs-site.sh,
# and sbom.txt that of release/sbom.py.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${UPGRADE:-} in
  "" | 0) upgrade=() ;;
  1) upgrade=(--upgrade) ;;
  *) echo "lock: UPGRADE: got \"$UPGRADE\"; expected 0 or 1. Set UPGRADE=1 to upgrade." >&2; exit 2 ;;
esac
uv=$(scripts/uv.sh)
compile() { "$uv" pip compile -q --generate-hashes --no-header --no-annotate --universal --python-version 3.11 "$@"; }
compile "${upgrade[@]}" --extra trainer --group dev pyproject.toml -o requirements/dev.txt
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
list() { python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))$1, sep='\n')"; }
extra() { list "['project']['optional-dependencies']['$1']"; }
group() { list "['dependency-groups']['$1']"; }
tfd() { list "['project']['dependencies']"; }
extra trainer >"$new/trainer.in"
grep -E '^(tensorboard|setuptools)[^a-z-]' "$new/trainer.in" >"$new/tensorboard.in"
{ cat "$new/trainer.in"; extra workbench; tfd; } >"$new/workbench.in"
for image in trainer workbench; do
  sed '/^tensorflow>/d; s/^tensorflow-cpu\([^;]*\).*/tensorflow[and-cuda]\1/' "$new/$image.in" >"$new/$image-gpu.in"
done
{ cat "$new/trainer-gpu.in"; tfd | grep -E '^(click|rich)[>=<]'; group gpu-check; } >"$new/gpu-check.in"
for tool in browser docs sbom; do group "$tool" >"$new/$tool.in"; done
for file in trainer trainer-gpu tensorboard workbench workbench-gpu gpu-check browser docs sbom; do
  compile "${upgrade[@]}" --constraint requirements/dev.txt "$new/$file.in" -o "requirements/$file.txt"
done
