#!/bin/sh
# data/fetch.sh, without a network: unpacking local files, wrong sums, missing files, no connection, a second time.
# usage: fetch.sh PROGRAMS SCRATCH (the programs are not needed)
set -u
scratch=$2
source_dir=${SSLCAKE_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$scratch" || exit 1

fail() { echo "FAILED: $*"; cat out 2>/dev/null; exit 1; }
expect() { grep -q -e "$1" out || fail "expected '$1'"; }

# The script with sources of our own: small archives, and addresses that lead nowhere.
mkdir -p tool 'from here/mnist' 'from here/kmnist' archive/cifar-10-batches-bin
cp "$source_dir/data/fetch.sh" tool/
echo test >archive/cifar-10-batches-bin/test_batch.bin
echo one >archive/cifar-10-batches-bin/data_batch_1.bin
tar -czf 'from here/cifar-10-binary.tar.gz' -C archive cifar-10-batches-bin
printf images | gzip -c >'from here/mnist/train-images-idx3-ubyte.gz'
printf labels | gzip -c >'from here/train-labels-idx1-ubyte.gz'
sum() { md5sum <"$1" | cut -d ' ' -f 1; }
nowhere=http://127.0.0.1:9/nothing
cat >tool/sources.txt <<END
# a comment
cifar10 cifar-10-binary.tar.gz $(sum 'from here/cifar-10-binary.tar.gz') cifar-10-batches-bin/test_batch.bin $nowhere/cifar
mnist train-images-idx3-ubyte.gz $(sum 'from here/mnist/train-images-idx3-ubyte.gz') train-images-idx3-ubyte $nowhere/a $nowhere/b
mnist train-labels-idx1-ubyte.gz $(sum 'from here/train-labels-idx1-ubyte.gz') train-labels-idx1-ubyte $nowhere/c
kmnist train-images-idx3-ubyte.gz 00000000000000000000000000000000 train-images-idx3-ubyte $nowhere/d
END
fetch() { sh tool/fetch.sh "$@" >out 2>&1; }

fetch && fail 'no data set named'
expect usage
fetch imagenet && fail 'an unknown data set'
expect "unknown data set or option 'imagenet'"
fetch --into && fail 'an option without its value'
fetch --from nowhere mnist && fail 'a missing folder'
expect "no folder 'nowhere'"

fetch --into 'in to' mnist && fail 'fetched without a network'
expect 'Without a network'
expect "$nowhere/a"
expect "$nowhere/c"
expect 'not complete: mnist'
[ ! -e 'in to/mnist/train-images-idx3-ubyte' ] || fail 'a file that was not fetched'

fetch --into 'in to' --from 'from here' mnist cifar10 || fail 'unpacking'
[ "$(cat 'in to/mnist/train-images-idx3-ubyte')" = images ] || fail 'images'
[ "$(cat 'in to/mnist/train-labels-idx1-ubyte')" = labels ] || fail 'labels'
[ "$(cat 'in to/cifar10/cifar-10-batches-bin/data_batch_1.bin')" = one ] || fail 'the archive'
expect "data 'idx:in to/mnist'"
expect "data 'cifar10:in to/cifar10'"
[ -f 'from here/cifar-10-binary.tar.gz' ] || fail 'the fetched file was not to be removed'
[ -z "$(find 'in to' -name '.*' -o -name '*.part' -o -name '*.gz')" ] || fail 'left something behind'

fetch --into 'in to' mnist cifar10 || fail 'a second time, without a network'
expect 'cifar10: there already'

printf other | gzip -c >'from here/kmnist/train-images-idx3-ubyte.gz'
fetch --into 'in to' --from 'from here' kmnist && fail 'a wrong sum'
expect 'damaged or another file'
[ ! -e 'in to/kmnist/train-images-idx3-ubyte' ] || fail 'unpacked in spite of its sum'
rm 'from here/kmnist/train-images-idx3-ubyte.gz'
fetch --into 'in to' --from 'from here' kmnist && fail 'a missing file'
expect "there is no 'train-images-idx3-ubyte.gz'"

# The real list: every set that the script knows has addresses and sums.
for set in cifar10 cifar100 mnist fashion-mnist kmnist stl10; do
  awk -v set="$set" '$1 == set && length($3) == 32 && $4 != "" && $5 ~ /^https?:/ { n++ } END { exit n == 0 }' "$source_dir/data/sources.txt" ||
    fail "no sources for $set"
done
echo passed
