#!/bin/sh
# Bad files and bad places, met by every program that can meet them: one message that says what was expected, what was found
# and what to do, exit code 1, no crash, no hang, nothing that looks like a result, and nothing destroyed.
# usage: bad_input.sh PROGRAMS SCRATCH
bin=$1
work=$2
fixtures=$SSLCAKE_SOURCE_DIR/tests/fixtures/image
failed=0
cd "$work" || exit 1
work=$(pwd)

# refuse TEXT PROGRAM ARGUMENTS...: exit code 1 within a minute, and a message of the program's with TEXT.
refuse() {
  text=$1
  program=$2
  shift 2
  timeout 60 $as "$bin/$program" "$@" >out 2>err </dev/null
  got=$?
  if [ "$got" -ne 1 ] || ! grep -q "^$program: \[" err || ! grep -qF -e "$text" err; then
    echo "FAILED: $program $*"
    echo "  expected exit code 1 and a message with: $text"
    echo "  got exit code $got and:"
    sed 's/^/    /' err
    failed=1
  fi
}
as=

# --- folders ---------------------------------------------------------------------------------------------------------
mkdir -p folders/empty folders/useless folders/cut folders/huge folders/mixed/a folders/mixed/b
echo text >folders/useless/readme.txt
printf 'GIF89a..............' >folders/useless/a.gif
printf 'no picture at all' >folders/useless/b.jpg
head -c 300 "$fixtures/rgb.png" >folders/cut/a.png
head -c 500 "$fixtures/baseline.jpg" >folders/cut/b.jpg
# A header of 60,000 x 60,000 pixels with its right checksum, and next to nothing behind it.
printf '\211PNG\r\n\032\n\000\000\000\015IHDR\000\000\352\140\000\000\352\140\010\002\000\000\000\017\260\342\025\000\000\000\000IEND\256B\140\202' >folders/huge/a.png
for class in a b; do
  for name in rgb.png grey.png palette.png rgb.bmp baseline.jpg progressive.jpg; do cp "$fixtures/$name" folders/mixed/$class/; done
done
cp folders/cut/a.png folders/mixed/a/cut.png
cp folders/huge/a.png folders/mixed/b/huge.png
cp folders/useless/a.gif folders/mixed/b/

small="--encoder cakenet-w8 --size 32 --batch 4 --epochs 1"
"$bin/simclr" --data builtin --limit 40 --encoder cakenet-w8 --batch 20 --epochs 1 --out run >simclr.txt 2>&1 || { cat simclr.txt; exit 1; }
for program in simclr rotation evaluate embed similar; do
  case $program in
    simclr | rotation) options="$small --out out-$program" ;;
    *) options="--run run --out out-$program" ;;
  esac
  refuse "there is no folder 'folders/missing'; check the path" $program $options --data folder:folders/missing
  refuse "is empty; put JPEG, PNG or BMP pictures into it" $program $options --data folder:folders/empty
  refuse "a.gif: expected a JPEG, PNG or BMP picture, found GIF" $program $options --data folder:folders/useless
  refuse "this PNG is truncated: its 300 bytes end before the IEND chunk" $program $options --data folder:folders/cut
  refuse "this JPEG is truncated: its 500 bytes end before the end-of-image marker" $program $options --data folder:folders/cut
  refuse "declares 60000 x 60000 pixels; the limits are" $program $options --data folder:folders/huge
  refuse "a.gif: expected a JPEG, PNG or BMP picture, found GIF" $program $options --data folder:folders/mixed --strict
done
# What is left out is counted and named.
for program in simclr rotation evaluate embed similar; do
  case $program in
    simclr | rotation) options="$small --out mixed-$program" ;;
    evaluate) options="--run run --probe-epochs 1 --out mixed-$program" ;;
    *) options="--run run --out mixed-$program" ;;
  esac
  "$bin/$program" $options --data folder:folders/mixed >out 2>err </dev/null || { echo "FAILED: $program on a folder with some bad files"; cat err; failed=1; }
  for text in a/cut.png b/huge.png b/a.gif '3 .*--strict'; do
    grep -q -e "$text" err || { echo "FAILED: $program does not tell $text"; cat err; failed=1; }
  done
done
# A part to test on that is damaged is not replaced by training pictures; only the patient go on without it.
mkdir -p folders/parts/train/a folders/parts/train/b folders/parts/test/a folders/cut-test/train folders/cut-test/test/a
for class in a b; do for name in rgb.png grey.png rgb.bmp baseline.jpg; do cp "$fixtures/$name" folders/parts/train/$class/; done; done
cp "$fixtures/rgb.png" "$fixtures/baseline.jpg" folders/parts/test/a/
cp folders/useless/a.gif folders/parts/test/a/
cp -R folders/parts/train/a folders/parts/train/b folders/cut-test/train/
cp folders/cut/a.png folders/cut-test/test/a/
refuse "a.gif: expected a JPEG, PNG or BMP picture, found GIF" evaluate --run run --data folder:folders/parts --strict --out out-evaluate
refuse "a.gif: expected a JPEG, PNG or BMP picture, found GIF" simclr $small --data folder:folders/parts --strict --out out-simclr
refuse "this PNG is truncated" evaluate --run run --data folder:folders/cut-test --out out-evaluate
"$bin/simclr" $small --data folder:folders/parts --out parts >out 2>err </dev/null || { echo 'FAILED: simclr with a bad test picture'; cat err; failed=1; }
grep -q 'simclr: skipped test/a/a.gif' err || { echo 'FAILED: a bad test picture is not named'; cat err; failed=1; }
# What a run writes may not become its own pictures, and names like those of splits are no classes.
for program in simclr rotation; do
  "$bin/$program" $small --data folder:folders/parts --out folders/parts/new/run >out 2>err </dev/null
  [ $? -eq 2 ] || { echo "FAILED: $program writes among its pictures"; failed=1; }
  [ ! -e folders/parts/new ] || { echo "FAILED: $program has written among its pictures"; failed=1; }
done
(cd folders/parts && "$bin/rotation" $small --data folder:. --out runs/x >../../out 2>../../err </dev/null) && { echo 'FAILED: rotation writes among its pictures, called from there'; failed=1; }
grep -q 'lies inside of the pictures, folder:.: .* choose an --out elsewhere' err || { echo 'FAILED: no clear message for --out among the pictures'; cat err; failed=1; }
cp -R folders/parts folders/misspelt
mv folders/misspelt/test folders/misspelt/valid
refuse "found 'train' and 'valid'" evaluate --run run --data folder:folders/misspelt --out out-evaluate
# A picture that stands outside of the classes is named.
cp -R folders/parts folders/stray
cp "$fixtures/rgb.png" folders/stray/test/zz.png
refuse "1 of 3 pictures have no label, the first is test/zz.png" evaluate --run run --data folder:folders/stray --out out-evaluate
"$bin/simclr" $small --data folder:folders/stray --out stray >out 2>err </dev/null || { echo 'FAILED: simclr with a stray picture'; cat err; failed=1; }
grep -q 'no online kNN: .*the first is test/zz.png' err || { echo 'FAILED: a stray picture is not named'; cat err; failed=1; }
# One good picture among bad ones is one that can be learnt from.
mkdir folders/last
for i in 1 2 3 4 5 6 7 8; do cp folders/cut/a.png folders/last/$i.png; done
cp "$fixtures/rgb.png" folders/last/z.png
"$bin/rotation" $small --data folder:folders/last --out last >out 2>err </dev/null || { echo 'FAILED: rotation where only the last picture can be read'; cat err; failed=1; }
refuse "cut/a.png: this PNG is truncated" similar --run run --query folders/cut/a.png --out near --data folder:folders/missing  # told first
refuse "got a file in the format GIF" similar --run run --query folders/useless/a.gif --out near

# --- CIFAR -----------------------------------------------------------------------------------------------------------
mkdir -p cifar/short cifar/test
head -c 1000 /dev/zero >cifar/short/data_batch_1.bin
head -c 1000 /dev/zero >cifar/short/test_batch.bin
for program in simclr rotation evaluate embed similar; do
  case $program in
    simclr | rotation) options="$small --out out-$program" ;;
    *) options="--run run --out out-$program" ;;
  esac
  refuse "to have 30730000 bytes, found 1000" $program $options --data cifar10:cifar/short
done
for i in 1 2 3 4 5; do head -c 30730000 /dev/zero >cifar/test/data_batch_$i.bin; done
head -c 30729999 /dev/zero >cifar/test/test_batch.bin
refuse "to have 30730000 bytes, found 30729999" evaluate --run run --data cifar10:cifar/test --limit 20 --out out-evaluate
"$bin/simclr" $small --data cifar10:cifar/test --limit 20 --out cifar/run >out 2>err </dev/null || { echo 'FAILED: simclr without test pictures'; cat err; failed=1; }
grep -q 'no online kNN: .*found 30729999' err || { echo 'FAILED: damaged test pictures were passed over in silence'; cat err; failed=1; }
rm -rf cifar

# --- encoders --------------------------------------------------------------------------------------------------------
whole=run/encoder.safetensors
head -c 20000 $whole >truncated.safetensors
printf '\377\377\377\377\377\377\377\001{}' >oversized.safetensors
printf '\172\000\000\000\000\000\000\000{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}               123456' >overlapping.safetensors
LC_ALL=C sed 's/\[8,16,32\]/[8,16,24]/' $whole >shapes.safetensors
LC_ALL=C sed 's/"sslcake_format":"1"/"sslcake_format":"8"/' $whole >newer.safetensors
printf '\101\000\000\000\000\000\000\000{"conv1.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}1234' >foreign.safetensors
checkpoint=$(ls run/checkpoint/step-* | head -n 1)
for program in evaluate embed similar; do
  refuse "$checkpoint is a checkpoint; the encoder is run/encoder.safetensors" $program --encoder $checkpoint --out out-$program
  refuse "foreign.safetensors does not say which network it holds, as a run's encoder.safetensors does" $program --encoder foreign.safetensors --out out-$program
  refuse 'it is truncated (truncated.safetensors)' $program --encoder truncated.safetensors --out out-$program
  refuse 'at most 100000000 are allowed' $program --encoder oversized.safetensors --out out-$program
  refuse 'it overlaps another one' $program --encoder overlapping.safetensors --out out-$program
  refuse 'Update sslcake to read it' $program --encoder newer.safetensors --out out-$program
  refuse 'layer3.0.conv1.weight: expected (24,16,3,3), got (32,16,3,3)' $program --encoder shapes.safetensors --out out-$program
  for text in 'layer3.0.conv2.weight: expected (24,24,3,3), got (32,32,3,3)' 'layer3.0.downsample.1.running_var: expected (24), got (32)'; do
    grep -qF -e "$text" err || { echo "FAILED: $program does not list all mismatches"; cat err; failed=1; }
  done
done

# --- sizes -----------------------------------------------------------------------------------------------------------
refuse 'expected a batch no larger than the data set (20 pictures), got 64' simclr --data builtin --limit 20 --batch 64 --encoder cakenet-w8 --out sizes
refuse 'expected a batch no larger than the data set (20 pictures), got 64' rotation --data builtin --limit 20 --batch 64 --encoder cakenet-w8 --out sizes
refuse 'expected a batch of at least 2 pictures, got 1' simclr --data builtin --limit 20 --batch 1 --encoder cakenet-w8 --out sizes
refuse 'fewer negatives' simclr --data builtin --limit 20 --batch 4 --accumulate 2 --encoder cakenet-w8 --out sizes
refuse 'ask for fewer' evaluate --run run --limit 20 --labels-per-class 5000 --out sizes

# --- places that cannot be written -----------------------------------------------------------------------------------
echo 'a file' >file
cp -R run other
rm other/encoder.safetensors
mkdir other/encoder.safetensors
refuse 'it is a folder' simclr --data builtin --limit 40 --encoder cakenet-w8 --batch 20 --epochs 1 --out other --resume
for program in simclr rotation evaluate embed similar dots; do
  case $program in
    simclr | rotation) options="$small --data builtin --limit 40" ;;
    dots) options="--epochs 1" ;;
    *) options="--run run --limit 40" ;;
  esac
  refuse 'cannot make the folder file: a file has that name' $program $options --out file
done

mkdir locked
chmod 555 locked
as=
if [ "$(id -u)" -eq 0 ]; then  # the superuser may write everywhere
  as='setpriv --reuid 65534 --regid 65534 --clear-groups'
  chmod 755 "$work"
fi
if [ -z "$as" ] || $as "$bin/dots" --version >/dev/null 2>&1 && $as test -r run/encoder.safetensors; then
  for program in simclr rotation evaluate embed similar dots; do
    case $program in
      simclr | rotation) options="$small --data builtin --limit 40" ;;
      dots) options="--epochs 1" ;;
      *) options="--run run --limit 40" ;;
    esac
    refuse 'permission denied; change the permissions there or choose another place' $program $options --out locked
    refuse 'permission denied; change the permissions there or choose another place' $program $options --out locked/inside
    grep -q 'raw pixels' err && { echo "FAILED: $program finds out only after its work"; failed=1; }
  done
else
  echo 'skipped: the programs cannot be run as another user here, so nothing is without permission'
fi
as=
chmod 755 locked
[ -z "$(ls locked)" ] || { echo 'FAILED: something was written into a locked folder'; failed=1; }
exit $failed
