#!/usr/bin/env bash
# Creates what the other targets need: .venv from the lock, Helm, and with `test` the test tools.
# Usage: scripts/setup.sh [run|test]        (default: test)
# Packages and programs are cached outside the checkout (TFD_CACHE, default ~/.cache/tf-distributed), so a second clone
# is ready in seconds. Without changes, this script returns at once.
set -euo pipefail
cd "$(dirname "$0")/.."
die() { echo "setup: $*" >&2; exit 1; }
want=${1:-test}
case $want in run | test) ;; *) die "MODE: got \"$want\"; expected run or test. Run scripts/setup.sh test." ;; esac
cache=${TFD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tf-distributed}
python=${PYTHON:-python3}
# The Helm of the user, not the link to it in .venv.
path=$(printf %s "$PATH" | sed "s|$PWD/.venv/bin:||g")
own_helm=$(PATH=$path command -v helm) || own_helm=
own_version=$("${own_helm:-false}" version --template '{{.Version}}' 2>/dev/null | sed 's/^v//; s/[-+].*//') || true

# The stamp holds the fingerprint of all inputs of this script. A stamp of `test` is also good for `run`.
key=$(
  cat requirements/*.txt pyproject.toml tools/*/go.mod tools/*/go.sum scripts/setup.sh scripts/uv.sh \
    scripts/go-tool.sh scripts/kubernetes-schemas.py
  printf '%s\n' "$PWD" "$cache" "$own_helm" "$own_version" "$(PATH=$path command -v "$python")"
  PATH=$path "$python" --version 2>&1
) || true
key=$(printf %s "$key" | sha256sum)
for stamp in .venv/.setup-test ".venv/.setup-$want"; do
  # A link into a deleted cache is broken. The link to kubectl belongs to devcluster.
  if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && [ -z "$(find .venv .venv/bin -maxdepth 1 -xtype l ! -name kubectl)" ]; then
    exit 0
  fi
done

fix="Install Python 3.11 or newer, or set PYTHON."
PATH=$path command -v "$python" >/dev/null || die "PYTHON: got \"$python\"; expected a program on the PATH. $fix"
PATH=$path "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  die "PYTHON: got \"$(PATH=$path "$python" --version)\"; expected 3.11 or newer. $fix"
PATH=$path "$python" -I -c 'import ensurepip, venv' 2>/dev/null ||
  die "PYTHON: got \"$python\" without the module venv; expected this module. Run apt-get install python3-venv."
mkdir -p "$cache"

uv=$(PYTHON="$(PATH=$path command -v "$python")" TFD_CACHE=$cache scripts/uv.sh)
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300} UV_LINK_MODE=${UV_LINK_MODE:-hardlink}
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}

python_packages() {
  [ -x .venv/bin/python ] ||
    "$uv" venv -q --python "$(PATH=$path "$python" -I -c 'import sys; print(sys.executable)')" .venv
  echo "setup: installing the locked Python packages into .venv" >&2
  # Where Python may write no bytecode, each process would compile TensorFlow again: 6 s of a core.
  "$uv" pip sync -q ${PYTHONDONTWRITEBYTECODE:+--compile-bytecode} --python .venv --require-hashes requirements/dev.txt
  "$uv" pip install -q --python .venv --no-deps --no-build-isolation -e .
}
link() { ln -sf "$1" ".venv/bin/$2"; }
# A Helm of the user is used if it is new enough.
own_helm_is_new() {
  [ -n "$own_version" ] && [ "$(printf '%s\n3.18\n' "$own_version" | sort -V | head -n 1)" = 3.18 ]
}

python_packages & packages=$!
if own_helm_is_new; then helm=$own_helm; else helm=$(scripts/go-tool.sh helm)/helm; fi
wait "$packages"
link "$helm" helm
if [ "$want" = test ]; then
  for tool in helm-unittest kubeconform helm3 actionlint; do link "$(scripts/go-tool.sh "$tool")/$tool" "$tool"; done
  link "$(scripts/go-tool.sh helm)/helm" helm4
  for tool in promtool prometheus; do link "$(scripts/go-tool.sh prometheus)/$tool" "$tool"; done
  schemas=$cache/kubernetes-schemas-$(cat scripts/kubernetes-schemas.py requirements/dev.txt tools/{kueue,controller-gen}/go.* | sha256sum | cut -c1-12)
  [ -d "$schemas" ] || .venv/bin/python scripts/kubernetes-schemas.py "$schemas"
  ln -sfn "$schemas" .venv/kubernetes-schemas
fi
printf %s "$key" >".venv/.setup-$want"
