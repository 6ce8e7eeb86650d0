#!/usr/bin/env bash
# Runs all tests that need no cluster. Arguments go to pytest: scripts/test.sh tests/unit/tfd -k ports
set -euo pipefail
cd "$(dirname "$0")/.."
# Most tests are small, so two of them run at a time. A test of real processes needs all cores, so these run alone.
# The slow tests of real processes run by hand: pytest -m "processes and slow"
small="not processes and not cluster and not e2e"
processes="processes and not slow"
if [ $# -gt 0 ]; then
  # One of the two selections may be empty, which pytest reports with exit code 5.
  pytest -q -n 2 -m "$small" "$@" || [ $? -eq 5 ]
  pytest -q -m "$processes" "$@" || [ $? -eq 5 ]
else
  helm-unittest --strict charts/tf-distributed charts/workbench
  pytest -q -n 2 -m "$small"
  # Only this folder has tests of real processes, and the collection of all tests takes half a minute.
  pytest -q -m "$processes" tests/integration
fi
