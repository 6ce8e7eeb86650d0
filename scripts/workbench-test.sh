#!/usr/bin/env bash
# Runs the browser tests of the workbench with the Chromium of this machine. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v chromium >/dev/null ||
  { echo "workbench-test: chromium: got nothing; expected a program on the PATH. Run apt-get install chromium." >&2; exit 1; }
scripts/workbench.sh >/dev/null
home=build/browser
scripts/locked-venv.sh "$home" requirements/browser.txt
"$home/bin/pytest" -q -p no:cacheprovider -m browser tests/workbench/browser "$@"
