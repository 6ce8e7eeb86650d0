#!/usr/bin/env bash
# Builds one pinned Go module, tools/NAME or devcluster/node/NAME, and prints the folder that contains its programs.
# Usage: scripts/go-tool.sh helm|helm3|helm-unittest|kubeconform|hyperkube|etcd|...
# The `tool` lines of go.mod list the packages to build. A module with one package gets a program called NAME; several
# packages keep their names. A module without `tool` lines is built from its main.go.
# Builds use no cgo, unless comments at the top of go.mod set options: `// env: A=B`, `// flags: -tags=x`,
# `// ldflags: -X a=b`.
# The cache key is the lock of the module, so a fresh clone builds nothing and a changed version builds once.
set -euo pipefail
die() { echo "setup: $*" >&2; exit 1; }
name=$1
root=$(cd "$(dirname "$0")/.." && pwd)
module=$(ls -d "$root"/{tools,devcluster/node}/"$name" 2>/dev/null) || [ -n "$module" ] ||
  die "NAME: got \"$name\"; expected a folder of tools/ or devcluster/node/. Name one of these folders."
key=$(cd "$module" && cat go.mod go.sum $(ls -- *.go 2>/dev/null) | sha256sum | cut -c1-12)
out=${TFD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tf-distributed}/bin/$name-$key
built() { [ -n "$(ls -A "$out" 2>/dev/null)" ]; }
# Two checkouts that are set up at once build a module once. macOS has no flock, and builds it twice there.
if ! built && command -v flock >/dev/null; then
  mkdir -p "${out%/*}"
  exec 9>"$out.lock"
  flock 9
fi
if ! built; then
  command -v go >/dev/null || die "go: got nothing; expected Go 1.26 or newer on the PATH, to build $name. Install Go."
  echo "setup: building $name (once; minutes when nothing is cached)" >&2
  option() { sed -n "s|^// $1: ||p" "$module/go.mod"; }
  read -ra packages < <(sed -En 's/^tool ([^(]+)$/\1/p; /^tool \(/,/^\)/s/^\t(.*)/\1/p' "$module/go.mod" | tr '\n' ' ') || true
  read -ra environment < <(option env) || true
  read -ra flags < <(option flags) || true
  # The build goes to a temporary folder, so that an interrupted build leaves no partial result.
  mkdir -p "$out.$$"
  trap 'rm -rf "$out.$$"' EXIT
  target=$out.$$/
  [ "${#packages[@]}" -gt 1 ] || target=$out.$$/$name
  (cd "$module" && env CGO_ENABLED=0 GOFLAGS=-mod=readonly "${environment[@]}" \
    go build -trimpath "${flags[@]}" -ldflags "-s -w $(option ldflags)" -o "$target" "${packages[@]:-.}")
  rmdir "$out" 2>/dev/null || true
  # The move fails if another build was first, which is fine.
  mv -T "$out.$$" "$out" 2>/dev/null || built
fi
echo "$out"
