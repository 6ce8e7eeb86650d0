#!/usr/bin/env bash
# Makes the environment of the tests that use the Chromium of this machine, and prints the path of its pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
home=build/browser
command -v chromium >/dev/null ||
  { echo "browser: chromium: got nothing; expected a program on the PATH. Run apt-get install chromium." >&2; exit 1; }
scripts/locked-venv.sh "$home" requirements/browser.txt
echo "$home/bin/pytest"
