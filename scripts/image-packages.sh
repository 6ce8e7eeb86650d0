#!/bin/sh
# Installs the locked packages of the file $1 into /opt/venv. trainer/Dockerfile runs this script inside an image.
set -eu
python3 -m venv /opt/venv
pip install --no-cache-dir --no-compile --disable-pip-version-check --only-binary :all: --require-hashes -r "$1"
cd /opt/venv/lib/python3*/site-packages
# Tasks do not compile C++, so headers, libclang and static libraries are deleted. The files that XLA needs on a GPU stay.
rm -rf tensorflow/include clang clang.* libclang* ../../../include
find . \( -name '*.a' -o -name '*.h' -o -name '*.hpp' -o -name '*.inc' \) -delete
python -m compileall -q -j 0 .
