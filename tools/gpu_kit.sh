#!/usr/bin/env bash
# bash tools/gpu_kit.sh [PYTHON] [tests|benchmark] [CONFIG ...]
# What is to be run on a GPU, by `make gpu`: the tests marked gpu, then the table of all systems (or of CONFIGs) in bf16,
# eager and compiled, as build/gpu/systems.csv. A second call goes on with the table. PYTHON has PyTorch and what
# tools/gpu_wheels.sh packs; nothing is installed. CLIPS=16 sets the clips of a batch. Without a GPU: one line, status 0;
# where the machine has one that PyTorch does not see, status 1.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
case ${1:-} in
    -h | --help) sed -n '2,6s/^# //p' "$0"; exit 2 ;;
esac
PYTHON=${1:-python}
PART=${2:-all}
case $PART in
    all | tests | benchmark) ;;
    *) echo "error: $PART: expected tests or benchmark" >&2; exit 1 ;;
esac
# Without the environment of `make install`, the Python at hand.
command -v "$PYTHON" > /dev/null || PYTHON=python3
if ! said=$("$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>&1); then
    # The last warning or error; the indented lines are Python's quotes of source.
    reason=$(grep -v '^ ' <<< "$said" | tail -n 1 || true)
    reason=${reason##*Warning: }
    # An empty CUDA_VISIBLE_DEVICES hides the GPUs on purpose.
    if [ -n "${CUDA_VISIBLE_DEVICES-all}" ] && ls /dev/nvidia[0-9]* > /dev/null 2>&1; then
        echo "error: this machine has a GPU, but $PYTHON has no PyTorch that sees it: ${reason:-PyTorch gives no reason}" >&2
        exit 1
    fi
    echo "no GPU: $PYTHON has no PyTorch that sees one${reason:+ ($reason)}, so nothing is run (make test runs the twins of its tests)"
    exit 0
fi
cd "$ROOT"
status=0
if [ "$PART" != benchmark ]; then
    # Other tests may need packages that are not there. Other versions of packages may warn.
    files=$(grep --recursive --files-with-matches --include='test_*.py' --extended-regexp 'on_devices|mark\.gpu' tests)
    # shellcheck disable=SC2086  (a list of files)
    "$PYTHON" -m pytest -m gpu -rfEs -W default $files || status=$?
fi
if [ "$PART" != tests ]; then
    "$PYTHON" tools/benchmark.py "${@:3}" --device cuda --precision bf16 --beside compiled --largest-batch \
        --clips "${CLIPS:-16}" --rounds 1 --out build/gpu || status=$?
    echo "the table for docs/benchmark/gpu.csv is build/gpu/systems.csv"
fi
exit $status
