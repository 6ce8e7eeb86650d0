#!/usr/bin/env bash
# Makes an environment with the packages of one lock and nothing else, unless it is there. PYTHON is the Python to use.
# Usage: scripts/locked-venv.sh FOLDER LOCK
set -euo pipefail
cd "$(dirname "$0")/.."
home=$1 lock=$2 python=${PYTHON:-python3}
# The environment is complete when the stamp has the fingerprint of the lock. Its programs contain the path of the folder.
key=$({ cat "$lock"; echo "$PWD $home"; "$python" --version; } | sha256sum)
[ "$(cat "$home/.lock" 2>/dev/null)" != "$key" ] || exit 0
uv=$(scripts/uv.sh)
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300} UV_LINK_MODE=${UV_LINK_MODE:-hardlink}
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}
rm -rf "$home"
"$uv" venv -q --python "$("$python" -c 'import sys; print(sys.executable)')" "$home"
"$uv" pip sync -q ${PYTHONDONTWRITEBYTECODE:+--compile-bytecode} --python "$home" --require-hashes "$lock"
printf %s "$key" >"$home/.lock"
