# usage: programs.sh BIN SCRATCH. Programs with --device cuda: the files of a run on the CPU, a resume on the other device, and
# measurements that agree. BIN holds the picture programs with a GPU, or its model, behind --device cuda.
set -eu
bin=$1 out=$2
common="--limit 48 --size 16 --batch 16 --encoder cakenet-w8 --knn-limit 48 --precision float32 --lr 0.01"

"$bin/simclr" --device cuda $common --epochs 2 --out "$out/cuda" 2>"$out/said" || { cat "$out/said"; exit 1; }
"$bin/simclr" --device cpu $common --epochs 2 --out "$out/cpu" 2>/dev/null
for file in encoder.safetensors config.json metrics.jsonl report.html views.png; do
  test -s "$out/cuda/$file" || { echo "no $file"; exit 1; }
done
cmp "$out/cuda/views.png" "$out/cpu/views.png"
loss() { grep '"kind":"epoch"' "$1/metrics.jsonl" | tail -n 1 | sed 's/.*"loss":\([0-9.]*\).*/\1/'; }
echo "loss on cuda $(loss "$out/cuda"), on the CPU $(loss "$out/cpu")"
awk -v a="$(loss "$out/cuda")" -v b="$(loss "$out/cpu")" 'BEGIN { exit !(a > 0 && (a - b) / b < 0.01 && (b - a) / b < 0.01) }'

# Each reason why a GPU cannot be used is one line, and leaves no files. (Where a real GPU stands behind, the settings of the model
# mean nothing: then this is passed over.)
refused() {  # refused SETTING WORDS
  if env "$1" "$bin/simclr" --device cuda $common --epochs 1 --out "$out/refused" >"$out/said" 2>&1; then
    echo "$1: went on"; exit 1
  fi
  cat "$out/said"
  [ "$(wc -l <"$out/said")" -eq 1 ] && grep -q "^simclr: \[--device cuda\].*$2" "$out/said" && [ ! -e "$out/refused" ] || { echo "$1: expected one line with: $2"; exit 1; }
}
if env SSLCAKE_MODEL_REFUSES=device "$bin/simclr" --device cuda $common --epochs 1 --out "$out/probe" >"$out/said" 2>&1; then
  echo "a GPU, not its model: refusals are not tried"
else
  refused SSLCAKE_MODEL_REFUSES=device 'sees no GPU'
  refused SSLCAKE_MODEL_REFUSES=driver 'install a newer driver'
  refused SSLCAKE_MODEL_REFUSES=architecture 'compute capability 7.0.*8.0 or newer'
  refused SSLCAKE_MODEL_REFUSES=code 'has no code for'
  refused SSLCAKE_MODEL_MEMORY=100 'taken by other programs'
fi

if "$bin/simclr" --device cuda $common --epochs 1 --optimizer muon --out "$out/muon" >"$out/said" 2>&1; then
  echo '--optimizer muon went on'; exit 1
fi
grep -q -e '--optimizer muon computes on the CPU only' "$out/said" || { cat "$out/said"; exit 1; }

# The same run measured on both.
for device in cuda cpu; do
  "$bin/evaluate" --device $device --encoder "$out/cuda/encoder.safetensors" --data builtin --limit 60 --probe-epochs 3 --out "$out/$device-measured" \
    >/dev/null 2>"$out/said" || { cat "$out/said"; exit 1; }
done
number() { sed -n "s/.*\"$2\": \([0-9.]*\).*/\1/p" "$1/evaluation.json"; }
for key in pixels_knn200 knn10 knn200; do
  echo "$key: $(number "$out/cuda-measured" $key) and $(number "$out/cpu-measured" $key)"
  awk -v a="$(number "$out/cuda-measured" $key)" -v b="$(number "$out/cpu-measured" $key)" 'BEGIN { exit !(a != "" && a - b < 0.05 && b - a < 0.05) }'
done

# A run that stops on one device goes on on the other; what would be another run is refused there too.
"$bin/simclr" --device cpu $common --epochs 2 --out "$out/cuda" --resume 2>&1 | grep -q 'device cuda before and cpu now'
if "$bin/simclr" --device cuda $common --epochs 3 --out "$out/cpu" --resume >"$out/said" 2>&1; then echo "another configuration was resumed"; exit 1; fi
grep -q 'epochs' "$out/said"

# Features, neighbours, another task, and fine-tuning: the same on both.
for device in cuda cpu; do
  "$bin/embed" --device $device --encoder "$out/cuda/encoder.safetensors" --limit 40 --out "$out/$device-features" >/dev/null 2>&1
  "$bin/similar" --device $device --encoder "$out/cuda/encoder.safetensors" --limit 40 --random 3 --neighbours 4 --tile 32 \
    --out "$out/$device-neighbours" >"$out/$device-listed" 2>/dev/null
  "$bin/rotation" --device $device $common --epochs 1 --out "$out/$device-rotation" 2>/dev/null
  "$bin/evaluate" --device $device --encoder "$out/cuda/encoder.safetensors" --limit 60 --probe-epochs 1 --labels-per-class 2 --epochs 5 \
    --out "$out/$device-tuned" >/dev/null 2>&1
done
test -s "$out/cuda-features/features.npy"
cmp "$out/cuda-features/files.txt" "$out/cpu-features/files.txt"
cmp "$out/cuda-neighbours/similar.png" "$out/cpu-neighbours/similar.png"
cmp "$out/cuda-rotation/views.png" "$out/cpu-rotation/views.png"
echo "rotation: loss on cuda $(loss "$out/cuda-rotation"), on the CPU $(loss "$out/cpu-rotation")"
awk -v a="$(loss "$out/cuda-rotation")" -v b="$(loss "$out/cpu-rotation")" 'BEGIN { exit !(a > 0 && (a - b) / b < 0.01 && (b - a) / b < 0.01) }'
for key in from_scratch fine_tune; do
  echo "$key: $(number "$out/cuda-tuned" $key) and $(number "$out/cpu-tuned" $key)"
  awk -v a="$(number "$out/cuda-tuned" $key)" -v b="$(number "$out/cpu-tuned" $key)" 'BEGIN { exit !(a != "" && a - b < 0.05 && b - a < 0.05) }'
done
