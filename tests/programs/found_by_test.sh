#!/bin/sh
# What scripts/test finds on a machine and hands to the tests: data sets, each by itself, and a Python with PyTorch. The
# machine is our own, with commands that do nothing; its ctest says what it was given.
# usage: found_by_test.sh PROGRAMS SCRATCH (the programs are not needed)
set -u
scratch=$2
source_dir=${SSLCAKE_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bash=$(command -v bash) || { echo "skipped: there is no bash"; exit 0; }
cd "$scratch" || exit 1

fail() { echo "FAILED: $*"; cat out 2>/dev/null; exit 1; }
expect() { grep -qxF -e "$1" out || fail "expected the line '$1'"; }
fake() { printf '#!/bin/sh\n%s\n' "$2" >"bin/$1" && chmod +x "bin/$1"; }  # fake NAME LINE

clang=prefix/lib/clang/1/lib/linux
mkdir -p bin tree/scripts prefix/include/eigen3/Eigen prefix/include/stb prefix/include/CLI prefix/include/doctest $clang
for tool in cat dirname grep ln ls mkdir rm sed sh sort tee uniq; do ln -s "$(command -v $tool)" "bin/$tool"; done
for file in eigen3/Eigen/Core stb/stb_image.h CLI/CLI.hpp doctest/doctest.h turbojpeg.h; do touch "prefix/include/$file"; done
touch $clang/libclang_rt.fuzzer-x86_64.a
for tool in g++ make cmake git clang++ aarch64-linux-gnu-g++ qemu-aarch64 python3; do fake $tool :; done
fake python3 'exit 1'
fake nproc 'echo 1'
fake ctest 'echo "sets: $(cd "$SSLCAKE_DATA" && echo *)"
cat "$SSLCAKE_DATA"/*/name
echo "python: ${SSLCAKE_PYTHON:-none}"'
cp "$source_dir/scripts/test" "$source_dir/scripts/packages.sh" tree/scripts/
run() {
  PATH=$scratch/bin CMAKE_PREFIX_PATH=$scratch/prefix "$bash" tree/scripts/test "$@" </dev/null >out 2>&1 ||
    fail "scripts/test $*"
}
unset SSLCAKE_DATA SSLCAKE_PYTHON SSLCAKE_PEERS_PYTHON

run
expect 'sets: *'
expect 'Real data in data/ and ../data: none (SSLCAKE_DATA is not set)'
mkdir -p tree/data/hostile-images data/hostile-images data/natural-photos-144
echo inside >tree/data/hostile-images/name
echo beside >data/hostile-images/name
echo photos >data/natural-photos-144/name
run
run  # links of before are no hindrance
expect 'sets: hostile-images natural-photos-144'
expect inside
expect photos
grep -q beside out && fail 'the set in data/ comes first'
grep -q 'Python with PyTorch' out && fail 'no Python is needed without --full'
export SSLCAKE_DATA="$scratch/data"
run
expect "Real data: $scratch/data"
expect beside

run --full
expect 'python: none'
grep -q '^Python with PyTorch: none found' out || fail 'does not say that no Python was found'
fake peers 'exit 0'
SSLCAKE_PEERS_PYTHON=$scratch/bin/peers
export SSLCAKE_PEERS_PYTHON
run --full
expect "python: $scratch/bin/peers"
unset SSLCAKE_PEERS_PYTHON
fake python3 'exit 0'
run --full
expect 'python: python3'
SSLCAKE_PYTHON="$scratch/mine"
export SSLCAKE_PYTHON
run --full
expect "python: $scratch/mine"
echo passed
