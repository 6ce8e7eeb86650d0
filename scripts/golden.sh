#!/usr/bin/env bash
# Rewrites the files that the tests compare with. Read the diff.
# Argument: target folder (default: tests).
#
#   golden/RUN.yaml           the manifests of each jobs/examples/RUN.yaml.
#   golden/workbenches/NAME.yaml  the manifests of each workbenches/examples/NAME.yaml.
#   golden/keys.txt           every key of a job file and its class.
#   golden/review/NAME.md     the review comment of each pull request of tests/unit/review/cases.py.
#   job_files/rejected/*.yaml and workbench_files/rejected/*.yaml: `error` of each rejected file; every other byte stays.
#   Also the known identity hash in the chart's run-record_test.yaml.
#
# With an argument, only the first three kinds are written: the others take a minute and have their own tests.
# The chart's version and the identity hash, which includes it, are replaced: a release changes no golden.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-tests}
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir -p "$new/golden/workbenches" "$out/golden"

version=$(sed -n 's/^version: //p' charts/tf-distributed/Chart.yaml)
render() { # FILE CHART OUT
  helm4 template "$(basename "$1" .yaml)" "$2" --namespace examples --values "$1" --kube-version 1.37.0 \
    >"$new/manifest" 2>"$new/error" || { echo "golden: $1 does not render:"; cat "$new/error"; exit 1; } >&2
  sed -E "s/(^|[^0-9.])${version//./\\.}([^0-9.]|$)/\1VERSION\2/g; s/sha256:[0-9a-f]{64}/sha256:HASH/g" \
    "$new/manifest" >"$3/$(basename "$1")"
}
for job in jobs/examples/*.yaml; do render "$job" charts/tf-distributed "$new/golden"; done
for file in workbenches/examples/*.yaml; do render "$file" charts/workbench "$new/golden/workbenches"; done

python -m tests.chart.keys >"$new/golden/keys.txt"

# Replace the old files only after all new ones exist, so that an error leaves them as they are.
rm -rf "$out"/golden/*.yaml "$out"/golden/workbenches "$out"/golden/keys.txt
mv "$new"/golden/* "$out/golden/"

[ $# -gt 0 ] || {
  # The known hash of the smallest job file.
  record=charts/tf-distributed/tests/run-record_test.yaml
  known=$(helm4 template run charts/tf-distributed --set storage.claim=runs --show-only templates/run-record.yaml |
    grep -om1 'sha256:[0-9a-f]\{64\}')
  sed -i -E "s/sha256:[0-9a-f]{64}/$known/" "$record"
  python -m tests.chart.rejected tests/job_files/rejected
  python -m tests.chart.rejected tests/workbench_files/rejected charts/workbench
  python -m tests.unit.review.cases tests/golden/review
}
