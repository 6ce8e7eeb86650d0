#!/usr/bin/env bash
# Lint, types, schema, generated docs, rendering: seconds, for while one edits.
set -euo pipefail
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
mypy
lint-imports --no-cache
actionlint -shellcheck= -pyflakes=
zizmor --offline --quiet .github
python scripts/docs.py --check
helm lint --strict --quiet charts/tf-distributed --set storage.claim=runs
tfd check jobs
pytest -q -n 2 tests/chart tests/unit/tfd/test_helmyaml.py -m "not slow and not processes"
