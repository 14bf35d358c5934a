#!/usr/bin/env bash
# bash tools/gpu_wheels.sh FOLDER --python 3.12
# Makes a folder of wheels, below 60 MB, for a GPU machine without network that has PyTorch on another Python than here.
# It runs on x86-64 Linux. On that machine, in the checkout:
#     python -m pip install --no-index --no-deps FOLDER/*.whl && make gpu PYTHON=python
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
# With no environment active, the one that `make` has set up.
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "$ROOT/.venv/bin/python" ]; then
    export PATH="$ROOT/.venv/bin:$PATH"
fi
if [ $# -ne 3 ] || [ "$2" != --python ]; then sed -n '2,5s/^# //p' "$0"; exit 2; fi
FOLDER=$1
PYTHON_VERSION=$3
LIMIT=60  # MB

# Of the packages that mmstan needs, the ones that a machine with PyTorch seldom has. Not decord: videos are read by av.
WHEELS=(
    mmengine mmcv-lite mmaction2 mmpretrain open_clip_torch av
    timm safetensors regex tqdm
    addict yapf platformdirs termcolor modelindex model-index ordered-set click markdown mat4py
    ftfy wcwidth importlib-metadata lazy-importer zipp filelock packaging
    einops rich markdown-it-py mdurl Pygments
    pytest iniconfig pluggy
)
# The others, which it is expected to have. Any OpenCV will do.
THERE=(
    torch torchvision huggingface_hub numpy scipy matplotlib pillow opencv-python-headless
    PyYAML typing_extensions setuptools
)
if ! [[ $PYTHON_VERSION =~ ^3\.[0-9]+$ ]]; then
    echo "error: --python $PYTHON_VERSION: expected two numbers, such as 3.12" >&2
    exit 1
fi
mkdir -p "$FOLDER"
rm -f "$FOLDER"/*.whl

# pip takes the platforms by name: every older one is named too.
platforms=()
for name in manylinux_2_{28,27,24,17,12,5}_x86_64 manylinux{2014,2010,1}_x86_64; do
    platforms+=(--platform "$name")
done
python -m pip --disable-pip-version-check download --quiet --no-deps --only-binary=:all: \
    --implementation cp --python-version "$PYTHON_VERSION" "${platforms[@]}" \
    --constraint "$ROOT/constraints.txt" --dest "$FOLDER" "${WHEELS[@]}"

size=$(($(cat "$FOLDER"/*.whl | wc -c) / 1000000))
count=("$FOLDER"/*.whl)
if [ "$size" -ge $LIMIT ]; then
    echo "error: $FOLDER: ${#count[@]} wheels of $size MB, expected less than $LIMIT; take the largest out of WHEELS in $0" >&2
    exit 1
fi
echo "$FOLDER: ${#count[@]} wheels, $size MB, for Python $PYTHON_VERSION; expected on that machine: ${THERE[*]}"
