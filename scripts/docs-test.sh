#!/usr/bin/env bash
# Builds the documentation site and reads it with the Chromium of this machine. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v chromium >/dev/null ||
  { echo "docs-test: chromium: got nothing; expected a program on the PATH. Run apt-get install chromium." >&2; exit 1; }
scripts/docs-site.sh
scripts/locked-venv.sh build/browser requirements/browser.txt
build/browser/bin/pytest -q -p no:cacheprovider -m browser tests/site "$@"
