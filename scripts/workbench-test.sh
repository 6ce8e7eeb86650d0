#!/usr/bin/env bash
# Runs the browser tests of the workbench with the Chromium of this machine. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
pytest=$(scripts/browser.sh)
scripts/workbench.sh >/dev/null
"$pytest" -q -p no:cacheprovider -m browser tests/workbench/browser "$@"
