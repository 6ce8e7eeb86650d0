#!/usr/bin/env bash
# Builds the documentation site into build/site. A broken link, a missing anchor or a page without a place is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/locked-venv.sh build/docs requirements/docs.txt
build/docs/bin/python scripts/docs_site/sources.py build/docs-source
rm -rf build/site
# Nitpicky and strict: each warning is an error, and all of them are printed.
build/docs/bin/sphinx-build -q -n -W --keep-going -c scripts/docs_site -d build/docs-doctrees build/docs-source build/site
