#!/usr/bin/env bash
# The same training step in sslcake and in PyTorch, side by side; or, with `rows` in front, single rows of work: views,
# a folder of JPEGs, NT-Xent, nearest neighbours. PyTorch comes from pip, into build/peers/venv; SSLCAKE_PEERS_PYTHON
# names a Python that has torch and torchvision already.
#
# usage: bench/peers/run.sh [--rounds N] [--batch N] [--size N] [--threads N] [--steps N] [--modes eager,channels-last,compile]
#                            [--precisions float32,bfloat16] [--encoder resnet18]
#        bench/peers/run.sh rows [--rounds N] [--rows views32,views224,folder,nt_xent,many_pairs,knn,votes] [--photographs DIR]
set -euo pipefail
top=$(CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
source "$top/scripts/packages.sh"
build="$top/build/peers"

need_toolchain
need_file libturbojpeg0-dev include/turbojpeg.h
python=${SSLCAKE_PEERS_PYTHON:-$build/venv/bin/python}
if [ ! -x "$python" ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi
install_missing
mkdir -p "$build"
if [ ! -x "$python" ] || ! "$python" -c 'import torch, torchvision' 2>/dev/null; then
  if [ -n "${SSLCAKE_PEERS_PYTHON:-}" ]; then
    echo "$python has no torch and torchvision" >&2
    exit 1
  fi
  python3 -m venv "$build/venv"
  "$build/venv/bin/pip" install --quiet torch torchvision timm numpy
fi

{
  cmake -S "$top" -B "$build/sslcake" -DCMAKE_BUILD_TYPE=Release -DSSLCAKE_BUILD_TESTS=OFF -DSSLCAKE_BUILD_EXAMPLES=OFF
  cmake --build "$build/sslcake" --parallel "$(cores)" --target step rows
} >"$build/log.txt" 2>&1 || { tail -n 30 "$build/log.txt" >&2; exit 1; }

grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
if [ "${1:-}" = rows ]; then
  shift
  exec "$python" "$top/bench/peers/rows.py" "$build/sslcake/bench/rows" "$@"
fi
exec "$python" "$top/bench/peers/compare.py" "$build/sslcake/bench/step" --out "$build/results.json" "$@"
