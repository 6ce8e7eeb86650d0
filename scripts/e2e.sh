#!/usr/bin/env bash
# The scenarios on a cluster: scripts/e2e.sh smoke|all [ARGUMENTS FOR PYTEST]
# With KUBECONFIG set they run there, and its nodes must be able to pull TFD_E2E_TRAINER_IMAGE and
# TFD_E2E_TENSORBOARD_IMAGE. Else they run on the cluster of `make cluster`; one that does not run yet is started, and
# ended at the end, however that comes.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  smoke) marker="e2e and smoke" argocd=--no-argocd ;;   # none of these needs it, and its first build takes minutes
  all) marker=e2e argocd=--argocd ;;
  *) echo "usage: scripts/e2e.sh smoke|all [ARGUMENTS FOR PYTEST]" >&2; exit 2 ;;
esac
shift
mkdir -p build
[ $# -gt 0 ] || rm -f build/e2e.json   # a part of the scenarios is added to the record
rm -f build/e2e-up.log
if [ -z "${KUBECONFIG:-}" ]; then
  if ! python -m devcluster status >/dev/null 2>&1; then
    trap 'python -m devcluster down' EXIT
    trap 'exit 130' INT TERM
  else
    argocd=   # as it is
  fi
  # What it says is kept for the report: how soon the node is Ready.
  if ! python -m devcluster up --install $argocd 2> >(tee build/e2e-up.log >&2); then
    echo "e2e: no cluster on this machine (the reason is above): run as root on Debian, or set KUBECONFIG to another one" >&2
    exit 1
  fi
fi
pytest -q -m "$marker" --durations=0 --durations-min=1 "$@" tests/e2e
