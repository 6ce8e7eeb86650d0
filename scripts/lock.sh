#!/usr/bin/env bash
# Resolves pyproject.toml into requirements/*.txt with exact versions and hashes, and without URLs.
# Locked versions stay unless pyproject.toml excludes them. With UPGRADE=1, all packages get their newest versions.
# dev.txt has all packages. The other files go into the images, with the same versions; the GPU image adds CUDA.
# gpu-check.txt is the environment of scripts/gpu-check.sh: the packages of the GPU image, a command line and a plot.
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
python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["trainer"], sep="\n")' >"$new/trainer.in"
grep -E '^(tensorboard|setuptools)[^a-z-]' "$new/trainer.in" >"$new/tensorboard.in"
sed 's/^tensorflow-cpu/tensorflow[and-cuda]/' "$new/trainer.in" >"$new/trainer-gpu.in"
python3 - >"$new/gpu-check.in" <<'EOF'
import re, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
command_line = [each for each in project["project"]["dependencies"] if re.match("(click|rich)[>=<]", each)]
print(*command_line, *project["dependency-groups"]["gpu-check"], sep="\n")
EOF
cat "$new/trainer-gpu.in" >>"$new/gpu-check.in"
for file in trainer trainer-gpu tensorboard gpu-check; do
  compile "${upgrade[@]}" --constraint requirements/dev.txt "$new/$file.in" -o "requirements/$file.txt"
done
