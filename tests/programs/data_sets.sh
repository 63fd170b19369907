#!/bin/sh
# Data sets in the formats of others, and a vision transformer, through the programs: pretraining, measuring, features. The
# sets are made here, in the sizes that their formats ask for.
# usage: data_sets.sh PROGRAMS SCRATCH
bin=$1
work=$2
cd "$work" || exit 1
fail() {
  echo "FAILED: $1"
  cat log
  exit 1
}
# bytes NUMBER...: bytes of these values.
bytes() { for b in "$@"; do printf "\\$(printf %03o "$b")"; done; }
# repeat TIMES FILE
repeat() {
  i=0
  while [ $i -lt "$1" ]; do
    cat "$2"
    i=$((i + 1))
  done
}
head -c 400000 /dev/urandom >noise
bytes 0 1 2 3 4 >classes  # five classes: also a small draw has them all

# --- MNIST's format: 200 and 100 grey pictures of 28 x 28 ---------------------------------------------------------------
mkdir idx
{ bytes 0 0 8 3 0 0 0 200 0 0 0 28 0 0 0 28 && head -c 156800 noise; } >idx/train-images-idx3-ubyte
{ bytes 0 0 8 3 0 0 0 100 0 0 0 28 0 0 0 28 && head -c 78400 noise; } >idx/t10k-images-idx3-ubyte
{ bytes 0 0 8 1 0 0 0 200 && repeat 40 classes; } >idx/train-labels-idx1-ubyte
{ bytes 0 0 8 1 0 0 0 100 && repeat 20 classes; } >idx/t10k-labels-idx1-ubyte

# --- CIFAR-100: 50,000 and 10,000 records of two labels and a picture ----------------------------------------------------
mkdir cifar100
for i in 0 1 2 3 4 5 6 7 8 9; do
  bytes $((i % 5)) $((i % 5))
  dd if=noise bs=3072 count=1 skip=$i 2>/dev/null
done >records
repeat 100 records >thousand
repeat 10 thousand >cifar100/test.bin
repeat 50 thousand >cifar100/train.bin

# --- STL-10: 96 x 96; pictures are holes in files, for those without labels have 2.8 GB -----------------------------------
mkdir stl10
bytes 1 2 3 4 5 >five
repeat 1000 five >stl10/train_y.bin
repeat 1600 five >stl10/test_y.bin
truncate -s 138240000 stl10/train_X.bin
truncate -s 221184000 stl10/test_X.bin
truncate -s 2764800000 stl10/unlabeled_X.bin

# --- the programs on each --------------------------------------------------------------------------------------------------
for set in idx cifar100 stl10; do
  size=32
  [ $set = stl10 ] && size=96
  "$bin/simclr" --data $set:$set --encoder cakenet-w8 --limit 40 --batch 20 --epochs 1 --out run-$set >log 2>&1 || fail "simclr on $set"
  grep -q "40 pictures, views of $size x $size" log || fail "simclr on $set has another number or size of views"
  grep -q 'online kNN: [0-9]* test pictures against 40 training pictures' log || fail "no online kNN on $set"
  "$bin/evaluate" --run run-$set --limit 60 --probe-epochs 2 >log 2>&1 || fail "evaluate on $set"
  grep -q "60 train and 60 test pictures of $set:$set" log || fail "evaluate on $set has other pictures"
  grep -q "\"data\": \"$set:$set\"" run-$set/evaluation.json || fail "evaluation.json of $set does not name it"
  "$bin/embed" --run run-$set --limit 30 --part test --out features-$set >log 2>&1 || fail "embed on $set"
  grep -q '30 pictures, 32 features each' log || fail "embed on $set has other features"
  [ -s features-$set/labels.npy ] || fail "embed on $set left no labels"
done
"$bin/embed" --run run-stl10 --limit 30 --part unlabeled --out features-unlabeled >log 2>&1 || fail 'embed on pictures without labels'
[ -e features-unlabeled/labels.npy ] && fail 'labels where there are none'
rm -rf cifar100 stl10 thousand

# --- a vision transformer ----------------------------------------------------------------------------------------------------
vit="--data builtin --encoder vit_tiny --limit 40 --batch 20 --epochs 1 --optimizer adamw"
"$bin/simclr" $vit --out run-vit >log 2>&1 || fail 'simclr with a vision transformer'
grep -q '"lr": 0.001' run-vit/config.json || fail 'AdamW has not its own learning rate'
grep -q '"weight-decay": 0.01' run-vit/config.json || fail 'AdamW has not its own decay'
grep -Eq '"precision": "(float32|bfloat16)"' run-vit/config.json || fail 'config.json does not say the precision'
grep -Eq 'kernels [a-z0-9]+, (float32|bfloat16), [0-9]+ thread' log || fail 'the first line does not say the precision'
"$bin/rotation" $vit --out run-vit-rotation >log 2>&1 || fail 'rotation with a vision transformer'
"$bin/evaluate" --run run-vit --limit 60 --probe-epochs 2 >log 2>&1 || fail 'evaluate with a vision transformer'
"$bin/evaluate" --run run-vit --limit 60 --size 64 --out size >log 2>&1 && fail 'another size for a vision transformer was taken'
grep -q -e '--size expects 32, which this vision transformer was made for, got 64; leave it out' log || fail 'no clear message for another size'
"$bin/simclr" $vit --view-size 16 --out run-vit-small >log 2>&1 && fail 'small views for a vision transformer were taken'
grep -q -e '--view-size 16: the vision transformer vit_tiny sees pictures of one size only, here 32' log || fail 'no clear message for small views'
rm -rf run-vit run-vit-rotation

# --- views smaller, but not larger, than what the encoder is measured with ---------------------------------------------------------------------
for program in simclr rotation; do
  "$bin/$program" --data builtin --encoder cakenet-w8 --limit 40 --batch 20 --epochs 1 --view-size 24 --out run-small >log 2>&1 || fail "$program --view-size 24"
  grep -q '40 pictures, views of 24 x 24' log || fail "$program does not say that its views are smaller"
  "$bin/evaluate" --run run-small --limit 60 --probe-epochs 2 >log 2>&1 || fail "evaluate after $program --view-size"
  grep -q ', 32 x 32' log || fail "what $program trained with small views is not measured with whole pictures"
  rm -rf run-small
done
"$bin/simclr" --data builtin --encoder cakenet-w8 --limit 40 --batch 20 --epochs 1 --view-size 33 --out run-large >log 2>&1 && fail 'views that are too large were taken'
grep -q -e '--view-size expects at most the 32 pixels' log || fail 'no clear message for large views'
"$bin/simclr" --data builtin --encoder cakenet-w8 --limit 40 --batch 20 --epochs 1 --optimizer muon --momentum 0 --out run-muon >log 2>&1 || fail 'simclr by Muon without momentum'
rm -rf run-muon
echo passed
