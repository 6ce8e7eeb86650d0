#!/usr/bin/env bash
# Runs all tests that need no cluster. Arguments go to pytest: scripts/test.sh tests/unit/tfd -k ports
set -euo pipefail
cd "$(dirname "$0")/.."
helm-unittest --strict charts/tf-distributed
# Most tests are small, so two of them run at a time. A test of real processes needs all cores, so these run alone.
pytest -q -n 2 -m "not processes and not cluster and not e2e" "$@"
# The slow tests of real processes run by hand: pytest -m "processes and slow"
pytest -q -m "processes and not slow" "$@"
