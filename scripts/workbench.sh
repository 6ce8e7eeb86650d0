#!/usr/bin/env bash
# Installs the locked packages of the workbench into .venv-workbench if they are not there, and prints its Python.
# `tfd workbench` calls this script. No other target installs these packages.
set -euo pipefail
cd "$(dirname "$0")/.."
home=$PWD/.venv-workbench
python=${PYTHON:-python3}
# The environment is complete when the stamp has the fingerprint of the lock.
key=$({ cat requirements/workbench.txt pyproject.toml; echo "$home"; "$python" --version; } | sha256sum)
if [ "$(cat "$home/.stamp" 2>/dev/null)" != "$key" ]; then
  echo "workbench: installing JupyterLab and the trainer into .venv-workbench" >&2
  PYTHON=$python scripts/locked-venv.sh "$home" requirements/workbench.txt
  "$(scripts/uv.sh)" pip install -q --python "$home" --no-deps --no-build-isolation -e .
  printf %s "$key" >"$home/.stamp"
fi
echo "$home/bin/python"
