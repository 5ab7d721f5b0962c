#!/usr/bin/env bash
# Check and measure this package on a GPU: tests marked gpu, then the benchmarks. Writes one folder to send back.
#
#   tools/gpu_check.sh OUT_DIR [DEVICE]        in an environment with the package and its extra "test"; about 9 minutes
#
# No network and no weights are needed. What the machine needs as wheels: `python -m pip download -d wheels -e ".[test]"`
# on a machine with the same Python version and platform.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ $# -lt 1 ]; then
    echo "usage: tools/gpu_check.sh OUT_DIR [DEVICE]" >&2
    exit 2
fi
out=$1
device=${2:-cuda:0}
mkdir -p "$out"
failed=()

step() { # name, seconds, command: a step that fails or takes too long does not end the others
    local name=$1 limit=$2
    shift 2
    echo "== $name"
    timeout "$limit" "$@" 2>&1 | tee "$out/$name.txt"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("$name")
}

step environment 60 python -c "
import torch
print('torch', torch.__version__, 'CUDA', torch.version.cuda)
print(torch.cuda.get_device_properties('$device'))"
step tests 150 python -m pytest -q -m gpu tests/test_gpu.py
step throughput 200 python benchmarks/throughput.py --device "$device" --dtype bfloat16 --prompts 1,11 --repeats 5 \
    --no-absent --time-limit 150 --out "$out/throughput.json"
step scaling 120 python benchmarks/scaling.py --device "$device" --dtype bfloat16 --prompts 1,11 --windows 2 \
    --repeats 3 --out "$out/scaling.json"

if [ ${#failed[@]} -gt 0 ]; then
    echo "failed or out of time: ${failed[*]}; see the files in $out" >&2
    exit 1
fi
echo "done; send the folder $out"
