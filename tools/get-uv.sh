#!/bin/sh
# Puts uv into .tools/uv, a folder of its own, through pip from PyPI. Prints nothing when it is there already.
# Needs a Python 3.11-3.13 with pip or venv; nothing outside the repository is written but pip's own cache.
set -eu
cd "$(dirname "$0")/.."
UV_VERSION=0.13.8 # the version that wrote uv.lock

[ -x .tools/uv/bin/uv ] && exit 0

python=
for candidate in python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "Python 3.11, 3.12 or 3.13 is needed and none is on PATH (python3 is: $(python3 --version 2>&1 || true))." >&2
    exit 1
fi

echo "Getting uv $UV_VERSION from PyPI into .tools/uv …"
if "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools/uv "uv==$UV_VERSION"
elif "$python" -m venv .tools/uv >/dev/null 2>&1; then
    .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
else
    rm -rf .tools/uv
    echo "$python has neither pip nor venv. Install one of them (Debian: apt-get install python3-pip), or uv itself." >&2
    exit 1
fi
