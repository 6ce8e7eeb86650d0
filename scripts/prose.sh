#!/usr/bin/env bash
# Checks the prose of the repository with Vale and the rules in .vale/styles (docs/contributing/style.md).
# Usage: scripts/prose.sh [PREFIX...]     A prefix checks its files even if .vale/pending.txt exempts them.
set -euo pipefail
cd "$(dirname "$0")/.."
vale=$(scripts/go-tool.sh vale)/vale
rm -rf build/prose
files=$(PYTHONPATH=. python scripts/prose.py "$@")
xargs -d '\n' "$vale" --no-global --no-wrap --output=line <<< "$files"
