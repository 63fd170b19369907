#!/bin/sh
# What a run leaves, and what may happen to it: --config repeats it, Ctrl-C saves and leaves, a disk that fills up costs
# nothing that was saved, and a resume with other options is refused without touching anything. The encoder has the same
# bytes in the end.
# usage: stop_and_repeat.sh PROGRAMS SCRATCH
bin=$1
work=$2
cd "$work" || exit 1
fail() {
  echo "FAILED: $1"
  cat err
  exit 1
}
options="--data builtin --limit 512 --encoder cakenet-w8 --epochs 12 --batch 64 --seed 5 --warmup 1 --average 0.9 --temperature 0.3
  --grey 0.1 --blur --knn-every 0 --checkpoint-seconds 0.05"

"$bin/simclr" $options --out whole >out 2>err || fail 'the run itself'
for file in encoder.safetensors config.json metrics.jsonl views.png report.html; do [ -s "whole/$file" ] || fail "the run left no $file"; done
[ "$(ls whole/checkpoint | wc -l)" -eq 2 ] || fail 'not the last two checkpoints are kept'

# --- the same again, from its config.json ------------------------------------------------------------------------------
"$bin/simclr" --config whole/config.json --threads 1 --out again >out 2>err || fail '--config'
cmp whole/encoder.safetensors again/encoder.safetensors || fail '--config gave another encoder'
"$bin/rotation" --data builtin --limit 128 --encoder cakenet-w8 --epochs 2 --batch 32 --smallest-crop 0.7 --optimizer lars --out turned >out 2>err || fail rotation
"$bin/rotation" --config turned/config.json --out turned-again >out 2>err || fail 'rotation --config'
cmp turned/encoder.safetensors turned-again/encoder.safetensors || fail 'rotation --config gave another encoder'

# --- what an earlier run left without its checkpoints is not lost --------------------------------------------------------
cp -R turned lonely && rm -r lonely/checkpoint
for resume in '' --resume; do
  "$bin/rotation" --config turned/config.json --out lonely $resume >out 2>err && fail 'a finished run was overwritten'
  grep -q 'holds the results of an earlier run, and no checkpoint to go on from' err || fail 'no clear message for a finished run'
done
cmp turned/encoder.safetensors lonely/encoder.safetensors || fail 'a finished run was touched'

# --- Ctrl-C ------------------------------------------------------------------------------------------------------------
for signal in TERM INT; do
  rm -rf long
  set -- "$bin/simclr" $options --epochs 400 --out long
  # A shell starts what is in the background with SIGINT ignored.
  if [ $signal = INT ]; then env --default-signal=INT true 2>/dev/null || continue; set -- env --default-signal=INT "$@"; fi
  "$@" >out 2>err &
  pid=$!
  tries=0
  until ls long/checkpoint/step-* >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -le 600 ] || fail 'no checkpoint within a minute'
    sleep 0.1
  done
  "$bin/simclr" $options --epochs 400 --out long --resume >second_out 2>second_err && fail 'two runs in one folder'
  grep -q 'another process trains in long; wait for it, or choose another --out' second_err || { cat second_err; fail 'no clear message for two runs in one folder'; }
  kill -$signal $pid
  wait $pid
  [ $? -eq 130 ] || fail "a stop by SIG$signal does not end with exit code 130"
  grep -q 'the same command with --resume continues' err || fail "a stop by SIG$signal does not say how to go on"
  [ -e long/encoder.safetensors ] && fail 'a stopped run left an encoder'
done

# The run to be continued: stopped in its first epochs.
tries=0
while :; do
  rm -rf stopped
  "$bin/simclr" $options --out stopped >out 2>err &
  pid=$!
  until ls stopped/checkpoint/step-* >/dev/null 2>&1 || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
  kill -TERM $pid 2>/dev/null
  wait $pid
  [ $? -eq 130 ] && break
  tries=$((tries + 1))
  [ "$tries" -le 20 ] || fail 'the run is too short to be stopped on this machine'
done

# --- a resume with other options ---------------------------------------------------------------------------------------
mkdir kept
cp stopped/config.json stopped/views.png kept/
ls stopped/checkpoint >kept/list
other() {
  "$bin/$1" $2 --out stopped --resume >out 2>err && fail "resumed with $2"
  grep -q 'comes from another configuration; give the same options, or another output folder' err || fail "no clear message for $2"
  grep -qF -e "$3" err || fail "the message for $2 does not say: $3"
  cmp stopped/config.json kept/config.json || fail 'a refused resume changed config.json'
  cmp stopped/views.png kept/views.png || fail 'a refused resume changed views.png'
  [ "$(ls stopped/checkpoint)" = "$(cat kept/list)" ] || fail 'a refused resume changed the checkpoints'
}
other simclr "$options --lr 0.5 --temperature 0.1" 'temperature: the run began with 0.3, now it is 0.1'
grep -q 'learning rate 0.06, now it is .* learning rate 0.5' err || fail 'not all differences are listed'
other simclr "$(echo $options | sed 's/--blur//')" 'blur: the run began with true, now it is (not set)'
other simclr "$options --encoder cakenet-w16" 'encoder: the run began with cakenet-w8, now it is cakenet-w16'
other rotation '--data builtin --limit 512 --encoder cakenet-w8 --epochs 12 --batch 64 --seed 5' 'smallest-crop'
"$bin/simclr" $options --out stopped >out 2>err && fail 'an earlier run was written over'
grep -q 'holds an earlier run; continue it with --resume, or choose another --out' err || fail 'no clear message for an earlier run'

# --- a full disk -------------------------------------------------------------------------------------------------------
# A limit on file sizes lets a write fail in the middle, as a full disk does: the log fits, a checkpoint does not.
(ulimit -f 64 && "$bin/simclr" $options --out stopped --resume >out 2>err)
[ $? -eq 1 ] || fail 'a write that failed does not end with exit code 1'
grep -q 'simclr: .*cannot write stopped/.*: the file would exceed the size limit' err || fail 'no clear message for a write that failed'
[ "$(ls stopped/checkpoint)" = "$(cat kept/list)" ] || fail 'a failed write changed the checkpoints'
if mkdir disk && mount -t tmpfs -o size=64k tmpfs disk 2>/dev/null; then  # the superuser can have a real one
  "$bin/simclr" $options --out disk/run >out 2>err
  status=$?
  "$bin/embed" --run whole --out disk >embed_out 2>embed_err && fail 'embed found room on a full disk'
  umount disk
  grep -q 'disk is to hold 1250 KB, but its disk has only [0-9]* KB left' embed_err || fail 'embed does not see at once that there is no room'
  [ $status -eq 1 ] || fail 'a full disk does not end with exit code 1'
  grep -q 'the disk is full; free some space or write elsewhere' err || fail 'no clear message for a full disk'
else
  echo 'skipped: no file system can be mounted here; a limit on file sizes stood for a full disk'
fi

"$bin/simclr" $options --out stopped --resume >out 2>err || fail 'the resume'
cmp whole/encoder.safetensors stopped/encoder.safetensors || fail 'the resumed run gave another encoder'

# --- evaluate loses nothing ----------------------------------------------------------------------------------------------
# Through pipes, which have no limit.
{ (ulimit -f 0 && exec "$bin/evaluate" --run whole --limit 60 --probe-epochs 1 2>&3) | cat >table; } 3>&1 | cat >err
grep -q 'pretrained encoder' table || fail 'evaluate lost its table where nothing can be written'
grep -q 'evaluate: \[write\] cannot write whole/evaluation.json' err || fail 'evaluate does not say what it could not write'
echo passed
