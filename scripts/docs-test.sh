#!/usr/bin/env bash
# Builds the documentation site and reads it with the Chromium of this machine. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
pytest=$(scripts/browser.sh)
scripts/docs-site.sh
"$pytest" -q -p no:cacheprovider -m browser tests/site "$@"
