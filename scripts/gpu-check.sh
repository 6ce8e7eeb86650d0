#!/usr/bin/env bash
# Checks and measures the trainer on the GPUs of this machine, which needs an NVIDIA driver and Python, nothing else.
# Arguments go to `python -m bench.gpu`: scripts/gpu-check.sh --quick
set -euo pipefail
cd "$(dirname "$0")/.."
refuse() { echo "gpu-check: $1: got $2; expected $3. $4" >&2; exit 2; }
python=${PYTHON:-python3}
command -v nvidia-smi >/dev/null ||
  refuse GPU "no NVIDIA driver" "a machine with an NVIDIA GPU and the program nvidia-smi of its driver" \
    "Install the driver, or run python -m bench.gpu --cpu to try the command."
nvidia-smi -L | grep -q . || refuse GPU "a driver without a GPU" "a GPU in nvidia-smi -L" "Attach a GPU to this machine."
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
  refuse PYTHON "$("$python" --version 2>&1)" "3.11, 3.12 or 3.13, for which TensorFlow has packages" "Set PYTHON to one of them."
home=build/gpu-check/venv
[ -e "$home" ] || echo "gpu-check: installing TensorFlow with CUDA into $home, about 6 GB" >&2
PYTHON=$python scripts/locked-venv.sh "$home" requirements/gpu-check.txt
exec "$home/bin/python" -m bench.gpu "$@"
