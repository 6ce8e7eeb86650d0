#!/usr/bin/env bash
# Builds one pinned Go module, tools/NAME or devcluster/node/NAME, and prints the folder that holds its binaries.
# Usage: scripts/go-tool.sh helm|helm3|helm-unittest|kubeconform|hyperkube|etcd|...
# What is built: the packages of go.mod's `tool` lines (one is called NAME, several by their own names), else the module's main.go.
# How: without cgo, unless comments at the top of go.mod say more: `// env: A=B`, `// flags: -tags=x`, `// ldflags: -X a=b`.
# The cache is keyed by the module's own lock, so a fresh clone builds nothing and a bumped pin builds once.
set -euo pipefail
name=$1
root=$(cd "$(dirname "$0")/.." && pwd)
module=$(ls -d "$root"/{tools,devcluster/node}/"$name" 2>/dev/null) || [ -n "$module" ] || { echo "setup: $root has no module $name" >&2; exit 1; }
key=$(cd "$module" && cat go.mod go.sum $(ls -- *.go 2>/dev/null) | sha256sum | cut -c1-12)
out=${TFD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tf-distributed}/bin/$name-$key
if [ -z "$(ls -A "$out" 2>/dev/null)" ]; then
  command -v go >/dev/null || { echo "setup: $name is built from its Go module: install Go >= 1.26 and put it on the PATH" >&2; exit 1; }
  echo "setup: building $name (once; minutes when nothing is cached)" >&2
  said() { sed -n "s|^// $1: ||p" "$module/go.mod"; }
  read -ra packages < <(sed -En 's/^tool ([^(]+)$/\1/p; /^tool \(/,/^\)/s/^\t(.*)/\1/p' "$module/go.mod" | tr '\n' ' ') || true
  read -ra environment < <(said env) || true
  read -ra flags < <(said flags) || true
  # Built beside its final place and renamed: an interrupted build leaves nothing half behind.
  mkdir -p "$out.$$"
  trap 'rm -rf "$out.$$"' EXIT
  target=$out.$$/
  [ "${#packages[@]}" -gt 1 ] || target=$out.$$/$name
  (cd "$module" && env CGO_ENABLED=0 GOFLAGS=-mod=readonly "${environment[@]}" \
    go build -trimpath "${flags[@]}" -ldflags "-s -w $(said ldflags)" -o "$target" "${packages[@]:-.}")
  rmdir "$out" 2>/dev/null || true
  mv -T "$out.$$" "$out" 2>/dev/null || [ -n "$(ls -A "$out")" ]   # another build was first
fi
echo "$out"
