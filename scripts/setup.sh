#!/usr/bin/env bash
# Makes what the other targets need: .venv from the hashed lock, Helm, and with `test` the test tools as well.
# Usage: scripts/setup.sh [run|test]        (default: test)
# Everything heavy is cached outside the checkout (TFD_CACHE, default ~/.cache/tf-distributed), so a second clone
# is ready in seconds; when nothing changed this script returns at once.
set -euo pipefail
cd "$(dirname "$0")/.."
want=${1:-test}
cache=${TFD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tf-distributed}
python=${PYTHON:-python3}
stamp=.venv/.setup-$want
key=$(cat requirements/*.txt pyproject.toml tools/*/go.sum scripts/setup.sh scripts/kubernetes-schemas.py; pwd; command -v helm || true)
key=$(printf %s "$key" | sha256sum)
[ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && exit 0

die() { echo "setup: $*" >&2; exit 1; }
command -v "$python" >/dev/null || die "$python not found: install Python >= 3.11, or set PYTHON to one"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "$("$python" --version) found, but >= 3.11 is needed: set PYTHON to a newer one"
"$python" -c 'import ensurepip, venv' 2>/dev/null || die "$python has no venv module: install it (Debian: apt-get install python3-venv)"
mkdir -p "$cache"

# uv is in the lock's charge too; it fills a new .venv from its cache in seconds where pip takes a minute.
uv_home=$cache/uv-$(sha256sum requirements/uv.txt | cut -c1-12)
if [ ! -x "$uv_home/bin/uv" ]; then
  "$python" -m venv "$uv_home.$$"
  "$uv_home.$$/bin/pip" install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
  mv -T "$uv_home.$$" "$uv_home" 2>/dev/null || rm -rf "$uv_home.$$"   # another setup was first
fi
uv=$uv_home/bin/uv
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300} UV_LINK_MODE=${UV_LINK_MODE:-hardlink}
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}

python_packages() {
  [ -x .venv/bin/python ] || "$uv" venv -q --python "$("$python" -c 'import sys; print(sys.executable)')" .venv
  echo "setup: installing the locked Python packages into .venv" >&2
  "$uv" pip sync -q --python .venv --require-hashes requirements/dev.txt
  "$uv" pip install -q --python .venv --no-deps --no-build-isolation -e .
}
link() { ln -sf "$1" ".venv/bin/$2"; }
helm_on_path() { # a Helm of the user's own is used as it is, if it is new enough
  local helm version
  helm=$(PATH=$(printf %s "$PATH" | sed "s|$PWD/.venv/bin:||g") command -v helm) || return 1
  version=$("$helm" version --template '{{.Version}}' 2>/dev/null | sed 's/^v//; s/[-+].*//')
  [ "$(printf '%s\n3.18\n' "$version" | sort -V | head -n 1)" = 3.18 ] && echo "$helm"
}

python_packages & packages=$!
helm=$(helm_on_path) || helm=$(scripts/go-tool.sh helm)/helm
wait "$packages"
link "$helm" helm
if [ "$want" = test ]; then
  for tool in helm-unittest kubeconform helm3 actionlint; do link "$(scripts/go-tool.sh "$tool")/$tool" "$tool"; done
  link "$(scripts/go-tool.sh helm)/helm" helm4
  schemas=$cache/kubernetes-schemas-$(cat scripts/kubernetes-schemas.py requirements/dev.txt | sha256sum | cut -c1-12)
  [ -d "$schemas" ] || .venv/bin/python scripts/kubernetes-schemas.py "$schemas"
  ln -sfn "$schemas" .venv/kubernetes-schemas
fi
printf %s "$key" > "$stamp"
