#!/usr/bin/env bash
# Installs the locked uv into the cache if it is not there, and prints its path. PYTHON is the Python to use.
# uv is locked like all packages. It fills a new environment from its cache in seconds, while pip takes a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
home=${TFD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tf-distributed}/uv-$(sha256sum requirements/uv.txt | cut -c1-12)
if [ ! -x "$home/bin/uv" ]; then
  mkdir -p "$(dirname "$home")"
  "${PYTHON:-python3}" -I -m venv "$home.$$"
  "$home.$$/bin/pip" install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
  # The move fails if another setup was first, which is fine.
  mv -T "$home.$$" "$home" 2>/dev/null || rm -rf "$home.$$"
fi
echo "$home/bin/uv"
