#!/bin/sh
# kill -9 at moments that nobody chose, then --resume, until the run is finished: the encoder must have the same bytes as
# that of a run that was never touched.
# usage: kill_and_resume.sh PROGRAMS_DIR SCRATCH_DIR
set -eu
simclr=$1/simclr
work=$2
options="--data builtin --limit 512 --encoder cakenet-w8 --epochs 20 --batch 64 --seed 5 --warmup 1 --average 0.9
  --knn-every 0 --checkpoint-seconds 0.05"

"$simclr" $options --out "$work/whole" >"$work/whole.txt" 2>&1 || { cat "$work/whole.txt"; exit 1; }

kills=0
tries=0
resume=
while :; do
  tries=$((tries + 1))
  [ "$tries" -le 60 ] || { echo "not finished after 60 tries"; exit 1; }
  # No shell function here: $! would be the shell around the program, and the program would outlive its kill.
  "$simclr" $options --out "$work/killed" $resume >>"$work/killed.txt" 2>&1 &
  pid=$!
  resume=--resume
  # 0.1 to 1.5 seconds, another each time; the clock makes it another in each run of the test, too.
  ms=$(( ($(date +%N | sed 's/^0*//;s/^$/1/') / 1000 + tries * 7919) % 1400 + 100 ))
  sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
  if kill -9 "$pid" 2>/dev/null; then kills=$((kills + 1)); fi
  if wait "$pid" 2>/dev/null; then break; fi
  if [ "$kills" -ge 8 ]; then
    "$simclr" $options --out "$work/killed" --resume >>"$work/killed.txt" 2>&1 || { cat "$work/killed.txt"; exit 1; }
    break
  fi
done

[ "$kills" -gt 0 ] || { echo "nothing was killed: the run is too short for this machine"; exit 1; }
resumed=$(grep -c '^resumed from' "$work/killed.txt" || true)
[ "$resumed" -gt 0 ] || { echo "every kill came before the first checkpoint"; exit 1; }
cmp "$work/whole/encoder.safetensors" "$work/killed/encoder.safetensors"
echo "killed $kills times, resumed $resumed times, same encoder"
