#!/usr/bin/env bash
# Installs the tfd of requirements/tfd.txt into .venv. Helm must be on the PATH; the runners of GitHub have it.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -I -m venv .venv
.venv/bin/python -I -m pip install --quiet --disable-pip-version-check --requirement requirements/tfd.txt
.venv/bin/tfd --version
helm version --short
