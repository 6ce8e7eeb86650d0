#!/usr/bin/env bash
# Makes anew what the tests compare with; read the diff. Argument: where to (default: tests).
#   golden/RUN.yaml        what each jobs/examples/RUN.yaml renders to
#   golden/keys.txt        every key of a job file and its class
#   invalid/NAME.expected  what `tfd check` says of each tests/job_files/rejected/NAME.yaml
#   golden/review/NAME.md  the card of each pull request of tests/unit/review/cases.py; a minute, so only without an argument
# The chart's version and the hash of the identity, which holds that version, are left out: a release changes no golden.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-tests}
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir -p "$new/golden" "$new/job_files/rejected" "$out/golden" "$out/job_files/rejected"

version=$(sed -n 's/^version: //p' charts/tf-distributed/Chart.yaml)
for job in jobs/examples/*.yaml; do
  run=$(basename "$job" .yaml)
  helm4 template "$run" charts/tf-distributed --namespace examples --values "$job" --kube-version 1.37.0 \
    >"$new/manifest" 2>"$new/error" || { echo "golden: $job does not render:"; cat "$new/error"; exit 1; } >&2
  sed -E "s/(^|[^0-9.])${version//./\\.}([^0-9.]|$)/\1VERSION\2/g; s/sha256:[0-9a-f]{64}/sha256:HASH/g" \
    "$new/manifest" >"$new/golden/$run.yaml"
done

python -m tests.chart.keys >"$new/golden/keys.txt"

# Exits with 1: all of them are refused.
tfd check tests/job_files/rejected >"$new/refusals" 2>"$new/error" || [ $? = 1 ] || { cat "$new/error" >&2; exit 1; }
while IFS=: read -r path where; do
  echo "${where/this is chart $version; set chartVersion: $version/this is chart VERSION; set chartVersion: VERSION}" \
    >>"$new/job_files/rejected/$(basename "$path" .yaml).expected"
done <"$new/refusals"

# Only now, when all of it is there: what no file stands behind any more goes too.
rm -f "$out"/golden/*.yaml "$out"/golden/keys.txt "$out"/job_files/rejected/*.expected
mv "$new"/golden/* "$out/golden/"
mv "$new"/job_files/rejected/* "$out/job_files/rejected/"

[ $# -gt 0 ] || python -m tests.unit.review.cases tests/golden/review
