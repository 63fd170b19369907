# Bad input to every program: one clear message, exit code 2 for a mistake on the command line and 1 for what is wrong with
# files; never a crash, and nothing on stdout that could be taken for a result.
bin=$1
work=$2
failed=0

# expect CODE TEXT PROGRAM ARGUMENTS...: the program ends with CODE and its message holds TEXT.
expect() {
  code=$1
  text=$2
  shift 2
  program=$1
  shift
  "$bin/$program" "$@" >"$work/out" 2>"$work/err" </dev/null
  got=$?
  if [ "$got" -ne "$code" ] || ! grep -qF -e "$text" "$work/err"; then
    echo "FAILED: $program $*"
    echo "  expected exit code $code and a message with: $text"
    echo "  got exit code $got and:"
    sed 's/^/    /' "$work/err"
    failed=1
  fi
}

for program in simclr rotation evaluate embed similar dots; do
  "$bin/$program" --help >"$work/out" 2>&1 || { echo "FAILED: $program --help"; failed=1; }
  for option in --data --out --encoder --epochs --batch --optimizer --lr --seed --threads --device --precision --limit --resume --config; do
    grep -q -e "$option" "$work/out" || { echo "FAILED: $program --help does not name $option"; failed=1; }
  done
  expect 2 '--lr expects a number' "$program" --lr nan
  expect 2 '--epochs expects a whole number' "$program" --epochs -1
  expect 2 'unknown option --epoch (did you mean --epochs?)' "$program" --epoch 3
  expect 2 'unknown option --no-such-option' "$program" --no-such-option
  expect 2 'expected options only, got "run"' "$program" --out my run
  expect 2 '--out expects a value, got the option --resume' "$program" --out --resume
  # Without the backend a mistake on the command line; with it, and without a GPU, a machine that cannot. dots needs no device.
  if [ "$program" != dots ]; then
    if ! "$bin/$program" --device cuda --data nonsense 2>&1 | grep -q 'no CUDA backend\|\[--device cuda\]\|nonsense'; then
      echo "FAILED: $program --device cuda does not say why not"
      failed=1
    fi
  fi
  expect 2 'float32 or bfloat16' "$program" --precision float16
  expect 2 '--optimizer expects' "$program" --optimizer magic
  expect 2 '--config' "$program" --config "$work/missing.json"
done

mkdir -p "$work/empty"
for program in simclr rotation; do
  expect 2 '--encoder: expected one of' "$program" --encoder resnet19
  expect 1 "$program: [" "$program" --data "folder:$work/missing" --out "$work/run"
  expect 1 "$program: [" "$program" --data "folder:$work/empty" --out "$work/run"
  expect 1 "$program: [" "$program" --data "cifar10:$work/empty" --out "$work/run"
  expect 1 'builtin' "$program" --data nonsense --out "$work/run"
  expect 2 "--encoder vit_tiny_patch5 cannot be made for --size 32: " "$program" --encoder vit_tiny_patch5 --limit 20 --out "$work/run"
  for text in 'adam: 0.001, adamw: 0.001, lars: 0.3, muon: 0.02' 'adam: 0, adamw: 0.01, lars: 1e-06, muon: 0.1' '=auto'; do
    "$bin/$program" --help | tr -s ' \n' ' ' | grep -qF -e "$text" || { echo "FAILED: $program --help does not name the default $text"; failed=1; }
  done
  expect 1 'batch' "$program" --data builtin --limit 20 --batch 64 --encoder cakenet-w8 --out "$work/small"
done
for program in evaluate embed similar; do
  expect 2 '--encoder FILE' "$program"
  expect 2 'does not exist' "$program" --encoder "$work/missing.safetensors"
  expect 2 'does not exist' "$program" --run "$work/missing"
  expect 2 'options.sh", which is no folder' "$program" --run "$SSLCAKE_SOURCE_DIR/tests/programs/options.sh"
  printf 'not a safetensors file' >"$work/broken.safetensors"
  expect 1 "$program: [" "$program" --encoder "$work/broken.safetensors"
done
# The kernels of the environment are taken, and told.
for kernels in reference portable; do
  SSLCAKE_KERNELS=$kernels "$bin/dots" --epochs 1 --out "$work/kernels" >"$work/out" 2>"$work/err" || { echo "FAILED: dots with SSLCAKE_KERNELS=$kernels"; failed=1; }
  grep -q "kernels $kernels, " "$work/err" && grep -q "\"kernels\": \"$kernels\"" "$work/kernels/config.json" || { echo "FAILED: SSLCAKE_KERNELS=$kernels is not told"; failed=1; }
done
export SSLCAKE_KERNELS=best
expect 1 'SSLCAKE_KERNELS names no kernel variant: "best"' dots --epochs 1 --out "$work/kernels"
unset SSLCAKE_KERNELS
expect 1 'dots: [' dots --epochs 1 --out /proc/no/such/place
exit $failed
