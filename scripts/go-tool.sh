#!/usr/bin/env bash
# Builds one pinned Go tool from cluster/tools/NAME and prints the folder that holds the binary.
# Usage: scripts/go-tool.sh helm|helm3|helm-unittest|kubeconform
# The cache is keyed by the module's own lock, so a fresh clone builds nothing and a bumped pin builds once.
set -euo pipefail
name=$1
module=$(cd "$(dirname "$0")/../cluster/tools/$name" && pwd)
package=$(sed -n 's/^tool //p' "$module/go.mod")
key=$(cat "$module/go.mod" "$module/go.sum" | sha256sum | cut -c1-12)
out=${TFD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tf-distributed}/bin/$name-$key
if [ ! -x "$out/$name" ]; then
  command -v go >/dev/null || { echo "setup: $name is built from its Go module: install Go >= 1.26 and put it on the PATH" >&2; exit 1; }
  echo "setup: building $name (once; minutes when nothing is cached)" >&2
  mkdir -p "$out"
  # Built beside its final name and renamed: an interrupted build leaves no half binary behind.
  (cd "$module" && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags "-s -w" -o "$out/.$name.$$" "$package")
  mv "$out/.$name.$$" "$out/$name"
fi
echo "$out"
