#!/usr/bin/env bash
# Checks that the charts and the package have one version, prints the defaults that changed since the last release, and creates the tag
# tf-distributed-VERSION. Argo CD takes the chart of a run from this tag, so a tag never moves. You push the tag.
set -euo pipefail
cd "$(dirname "$0")/.."
chart=charts/tf-distributed
die() { echo "release: $*" >&2; exit 1; }

version=$(sed -n 's/^version: //p' "$chart/Chart.yaml")
tag=tf-distributed-$version
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] ||
  die "$chart/Chart.yaml version: got \"$version\"; expected three numbers, as in 1.2.3. Set another version."
for file in charts/*/Chart.yaml pyproject.toml; do
  for key in version appVersion; do
    [ "$file:$key" != pyproject.toml:appVersion ] || continue
    found=$(sed -nE "s/^$key(:| =) \"?([^\"]*)\"?$/\2/p" "$file" | head -n 1)
    [ "$found" = "$version" ] ||
      die "$file $key: got \"$found\"; expected \"$version\", the version of $chart. Set the same version everywhere."
  done
done
[ -z "$(git status --porcelain)" ] ||
  die "checkout: got changes that are not committed; expected none. Commit them, because the tag would not contain them."
! git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null ||
  die "tag $tag: got an existing tag, which never moves; expected a new version. Raise it in Chart.yaml and pyproject.toml."
last=$(git tag --list 'tf-distributed-[0-9]*' --merged | sed 's/^tf-distributed-//' | sort -V | tail -n 1)
[ -z "$last" ] || [ "$(printf '%s\n' "$last" "$version" | sort -V | tail -n 1)" = "$version" ] ||
  die "$chart/Chart.yaml version: got \"$version\"; expected more than the last release $last. Set a higher version."
notes=$(awk -v heading="## [$version] - " 'index($0, heading) == 1 { found = 1; next } /^## / { found = 0 } found' CHANGELOG.md)
[ -n "${notes//[[:space:]]/}" ] ||
  die "CHANGELOG.md: got nothing below \"## [$version] - DATE\"; expected release notes. Rename the heading \"## [Unreleased]\"."

if [ -n "$last" ]; then
  # Lines that are neither comments nor empty are the defaults of a job file.
  values() { git show "$1:$chart/values.yaml" | sed -E 's/[[:space:]]+#.*//; /^[[:space:]]*(#|$)/d'; }
  changed=$(diff -U1 <(values "tf-distributed-$last") <(values HEAD) | tail -n +3) || true
  echo "defaults that changed since $last:"
  echo "${changed:-none}"
fi
git tag --annotate --cleanup=verbatim --message "tf-distributed $version"$'\n'"$notes" "$tag"
echo "Tagged $(git rev-parse --short HEAD) as $tag. Push the tag: git push origin $tag"
