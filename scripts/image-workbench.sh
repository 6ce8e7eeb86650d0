#!/bin/sh
# Adds to the image of the workbench what is not in its locked packages: `system` or `tfd`. trainer/Dockerfile runs it.
set -eu
case $1 in
  system)
    # The git panel of JupyterLab needs git. The home folder belongs to the user of the image.
    apt-get update
    apt-get install --yes --no-install-recommends git ca-certificates
    rm -rf /var/lib/apt/lists/*
    mkdir -p /home/workbench
    chown 65534:65534 /home/workbench
    ;;
  tfd)
    pip install --no-cache-dir --disable-pip-version-check --no-index --no-deps --no-build-isolation /src
    ;;
esac
