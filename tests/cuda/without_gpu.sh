# usage: without_gpu.sh BIN SCRATCH. A program with the CUDA backend on a machine without a GPU: it starts and trains on the CPU, and
# says in one line why --device cuda does not work.
set -eu
bin=$1 out=$2
rm -rf "$out"
mkdir -p "$out"

if "$bin/simclr" --device cuda --out "$out/cuda" >"$out/said" 2>&1; then
  echo "simclr --device cuda went on without a GPU" >&2
  exit 1
fi
cat "$out/said"
[ "$(wc -l <"$out/said")" -eq 1 ] || { echo "expected one line" >&2; exit 1; }
grep -q '^simclr: \[--device cuda\] .*\(driver\|GPU\)' "$out/said" || { echo "expected the reason in it" >&2; exit 1; }
[ ! -e "$out/cuda" ] || { echo "it left files" >&2; exit 1; }

"$bin/simclr" --limit 32 --size 16 --batch 16 --epochs 1 --encoder cakenet-w8 --knn-limit 32 --out "$out/cpu" 2>&1 | tail -n 1
test -s "$out/cpu/encoder.safetensors"
