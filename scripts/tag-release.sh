#!/usr/bin/env bash
# Tags the version that Chart.yaml names as tf-distributed-VERSION, if it can be one; tells what moved since the last.
# Argo CD takes a run's chart from this tag, so it is made once and never moved. Pushing it is left to you.
set -euo pipefail
cd "$(dirname "$0")/.."
chart=charts/tf-distributed
die() { echo "release: $*" >&2; exit 1; }

version=$(sed -n 's/^version: //p' "$chart/Chart.yaml")
tag=tf-distributed-$version
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "$chart/Chart.yaml: version: got $version: it must be three numbers, as in 1.2.3"
for file in "$chart/Chart.yaml:^appVersion: " "pyproject.toml:^version = " ; do
  said=$(sed -nE "s/${file#*:}\"?([^\"]*)\"?$/\1/p" "${file%%:*}" | head -n 1)
  [ "$said" = "$version" ] || die "${file%%:*}: got $said, but Chart.yaml says version: $version; set both to the same"
done
[ -z "$(git status --porcelain)" ] || die "the checkout has changes that are not committed: a tag would not have them; commit them"
! git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null || die "$tag is there already and is never moved: set the next version in Chart.yaml and pyproject.toml"
last=$(git tag --list 'tf-distributed-[0-9]*' --merged | sed 's/^tf-distributed-//' | sort -V | tail -n 1)
[ -z "$last" ] || [ "$(printf '%s\n' "$last" "$version" | sort -V | tail -n 1)" = "$version" ] ||
  die "$chart/Chart.yaml: version: got $version, which is below the last release $last; set a higher one"
notes=$(awk -v heading="## $version" '$0 == heading { found = 1; next } /^## / { found = 0 } found' CHANGELOG.md)
[ -n "${notes//[[:space:]]/}" ] || die "CHANGELOG.md: there is nothing under \"## $version\": write what users notice"

if [ -n "$last" ]; then
  # Lines that are neither comments nor empty: what a job file gets that does not set the key.
  values() { git show "$1:$chart/values.yaml" | sed -E 's/[[:space:]]+#.*//; /^[[:space:]]*(#|$)/d'; }
  moved=$(diff -U1 <(values "tf-distributed-$last") <(values HEAD) | tail -n +3) || true
  echo "defaults that moved since $last:"
  echo "${moved:-none}"
fi
git tag --annotate --cleanup=verbatim --message "tf-distributed $version"$'\n'"$notes" "$tag"
echo "tagged $(git rev-parse --short HEAD) as $tag; push it: git push origin $tag"
