#!/usr/bin/env bash
# Runs the quick checks: lint, types, import contracts, prose, generated files, schema and rendering.
set -euo pipefail
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
mypy
lint-imports --no-cache
actionlint -shellcheck= -pyflakes=
zizmor --offline --quiet .github
scripts/prose.sh
python scripts/docs.py --check
helm lint --strict --quiet charts/tf-distributed --set storage.claim=runs
helm lint --strict --quiet charts/workbench
tfd check jobs
pytest -q -n 2 tests/conventions tests/chart tests/monitoring tests/unit/tfd/test_helm_yaml.py -m "not slow and not processes"
