#!/bin/sh
# Inside an image: installs the locked packages of the file $1 into /opt/venv. Called by trainer/Dockerfile.
set -eu
python3 -m venv /opt/venv
pip install --no-cache-dir --no-compile --disable-pip-version-check --only-binary :all: --require-hashes -r "$1"
cd /opt/venv/lib/python3*/site-packages
# What one compiles against or with (headers, libclang, static libraries) is of no use to a task. What XLA needs on a GPU stays.
rm -rf tensorflow/include clang clang.* libclang* ../../../include
find . \( -name '*.a' -o -name '*.h' -o -name '*.hpp' -o -name '*.inc' \) -delete
python -m compileall -q -j 0 .
