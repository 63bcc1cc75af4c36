#!/usr/bin/env bash
# A lent GPU's few minutes: bash tools/gpu_run.sh check | parts [unpack] | smoke | train SECONDS [run ...]
# See tools/gpu_run.py. Folders: PARTS (/tmp/parts), CACHE (/dev/shm/cache), RUNS (/tmp/runs), OUT.
echo "gpu_run $* $(date +%T)"
set -u
cd "$(dirname "$0")/.." || exit 1
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS="${OMP_NUM_THREADS:-4}" NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-/tmp/numba}"
# The cache in memory where there is room (30 h are 11 GB), and where it already is.
if [ -z "${CACHE:-}" ]; then
    CACHE=/dev/shm/cache
    room=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [ -e /tmp/cache/index.json ] || { [ ! -e $CACHE/index.json ] && [ "${room:-0}" -lt 20000000 ]; }; then
        CACHE=/tmp/cache
    fi
fi
export CACHE PARTS="${PARTS:-/tmp/parts}" RUNS="${RUNS:-/tmp/runs}" OUT="${OUT:-/tmp/out}"
export CUDA_MODULE_LOADING=LAZY TF_CPP_MIN_LOG_LEVEL=3
SITE="${SITE:-/tmp/site}"
if ls .whl/*.whl >/dev/null 2>&1 && [ ! -e "$SITE/.done" ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$SITE" .whl/*.whl \
        && touch "$SITE/.done"
fi
[ -d "$SITE" ] && export PYTHONPATH="$SITE${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$PARTS" "$RUNS" "$OUT"
# Carried parts are replaced at the next call: they move to where they stay.
for part in .gpu/part*; do
    [ -e "$part" ] || continue
    rm -rf "${PARTS:?}/$(basename "$part")" && mv "$part" "$PARTS/" && echo "moved $part"
done
[ -e .gpu/unpack.py ] && cp .gpu/unpack.py "$PARTS/unpack.py"
# Kernels of several runs share the GPU only under MPS; without it the runs take turns, and those
# of TURNS alone are made, if it is set. MPS is a process of ours, and ends with this script.
if [ "${1:-}" = train ] && [ "${MPS:-1}" = 1 ] && command -v nvidia-cuda-mps-control >/dev/null; then
    export CUDA_MPS_PIPE_DIRECTORY=/tmp/mps CUDA_MPS_LOG_DIRECTORY=/tmp/mps-log
    mkdir -p "$CUDA_MPS_PIPE_DIRECTORY" "$CUDA_MPS_LOG_DIRECTORY"
    trap 'echo quit | timeout 5 nvidia-cuda-mps-control >/dev/null 2>&1' EXIT
    if timeout 10 nvidia-cuda-mps-control -d \
        && timeout 40 python3 -c 'import torch; print(torch.ones(9, device="cuda").sum())'; then
        echo "MPS: on $(date +%T)"
    else
        echo "MPS: failed; the runs take turns"
        tail -3 "$CUDA_MPS_LOG_DIRECTORY"/*.log
        echo quit | timeout 5 nvidia-cuda-mps-control >/dev/null 2>&1
        unset CUDA_MPS_PIPE_DIRECTORY
    fi
fi
if [ "${1:-}" = train ] && [ -z "${CUDA_MPS_PIPE_DIRECTORY:-}" ] && [ -n "${TURNS:-}" ]; then
    # shellcheck disable=SC2086
    set -- train "$2" $TURNS
fi
python3 tools/gpu_run.py "$@"
