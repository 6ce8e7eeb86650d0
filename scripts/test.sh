#!/usr/bin/env bash
# All tests that need no cluster. Arguments go to pytest: scripts/test.sh tests/unit/tfd -k ports
set -euo pipefail
cd "$(dirname "$0")/.."
helm-unittest --strict charts/tf-distributed
# Renderings are many and small: both cores. Runs of real processes need the machine to themselves.
pytest -q -n 2 -m "not processes and not cluster and not e2e" "$@"
# The rest of the fault table takes longer: pytest -m "processes and slow"
pytest -q -m "processes and not slow" "$@"
