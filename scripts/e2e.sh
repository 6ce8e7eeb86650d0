#!/usr/bin/env bash
# Runs the scenarios on a cluster: scripts/e2e.sh smoke|all|scale [ARGUMENTS FOR PYTEST]
# With KUBECONFIG set, the scenarios run on that cluster. Its nodes must be able to pull TFD_E2E_TRAINER_IMAGE and
# TFD_E2E_TENSORBOARD_IMAGE. Without KUBECONFIG, they run on the cluster of `make cluster`. If that cluster does not
# run, this script starts it and always stops it at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  # The smoke scenarios need neither Argo CD nor Kueue, and their first builds take minutes.
  smoke) marker="e2e and smoke" argocd=--no-argocd ;;
  all) marker="e2e and not scale" argocd="--argocd --kueue" ;;
  scale) marker="e2e and scale" argocd="--argocd --kueue" ;;
  *) echo "usage: scripts/e2e.sh smoke|all|scale [ARGUMENTS FOR PYTEST]" >&2; exit 2 ;;
esac
shift
mkdir -p build
# Scenarios that are selected by arguments are added to the record.
[ $# -gt 0 ] || rm -f build/e2e.json
rm -f build/e2e-up.log
if [ -z "${KUBECONFIG:-}" ]; then
  if ! python -m devcluster status >/dev/null 2>&1; then
    trap 'python -m devcluster down' EXIT
    trap 'exit 130' INT TERM
  else
    # A running cluster keeps its settings.
    argocd=
  fi
  # The report reads from this log how soon each node is Ready.
  if ! python -m devcluster up --install $argocd 2> >(tee build/e2e-up.log >&2); then
    echo "e2e: The cluster did not start; the reason is above. Run as root on Debian or set KUBECONFIG." >&2
    exit 1
  fi
fi
pytest -q -m "$marker" --durations=0 --durations-min=1 "$@" tests/e2e
