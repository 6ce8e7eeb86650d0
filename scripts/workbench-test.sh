#!/usr/bin/env bash
# Runs the browser tests of the workbench with the Chromium of this machine. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v chromium >/dev/null ||
  { echo "workbench-test: chromium: got nothing; expected a program on the PATH. Run apt-get install chromium." >&2; exit 1; }
scripts/workbench.sh >/dev/null
home=build/browser
key=$(sha256sum requirements/browser.txt)
if [ "$(cat "$home/.stamp" 2>/dev/null)" != "$key" ]; then
  scripts/locked-venv.sh "$home" requirements/browser.txt
  printf %s "$key" >"$home/.stamp"
fi
"$home/bin/pytest" -q -p no:cacheprovider -m browser tests/workbench/browser "$@"
