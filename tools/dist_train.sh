#!/usr/bin/env bash
# bash tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Without a GPU the processes run on the CPU (gloo). More machines: NNODES, NODE_RANK, MASTER_ADDR.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
# With no environment active, the one that `make` has set up.
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "$ROOT/.venv/bin/python" ]; then
    export PATH="$ROOT/.venv/bin:$PATH"
fi
if [ $# -lt 2 ]; then sed -n '2,3s/^# //p' "$0"; exit 2; fi
CONFIG=$1
GPUS=$2
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$GPUS" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${MASTER_PORT:-29500}" \
    "$ROOT/tools/train.py" "$CONFIG" --launcher pytorch "${@:3}"
