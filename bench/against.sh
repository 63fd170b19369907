#!/usr/bin/env bash
# This tree's kernels against those of another commit, side by side in one program (bench/against/against.cpp).
#
# usage: bench/against.sh [COMMIT] [--threads 2] [--views 16] [--repetitions 9] [--only product|forward|input|weight]
#                         [--bfloat16] [--swap]                 COMMIT: HEAD unless named; CXX chooses the compiler
set -euo pipefail
top=$(CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
commit=HEAD
case "${1:-}" in
  "" | --*) ;;
  *) commit=$1; shift ;;
esac
build=$top/build/against
rm -rf "$build/before"
mkdir -p "$build/before"
git -C "$top" archive "$commit" include | tar -x -C "$build/before"
flags=(-std=c++20 -O3 -DNDEBUG -pthread -I"$top/bench/against")
compiler=${CXX:-g++}
"$compiler" "${flags[@]}" -Dv0=before -DSSLCAKE_SIDE=side_before -I"$build/before/include" -c "$top/bench/against/side.cpp" -o "$build/before.o" &
"$compiler" "${flags[@]}" -Dv0=now -DSSLCAKE_SIDE=side_now -I"$top/include" -c "$top/bench/against/side.cpp" -o "$build/now.o"
wait $!
"$compiler" "${flags[@]}" -I"$top/include" "$top/bench/against/against.cpp" "$build/before.o" "$build/now.o" -o "$build/against"
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
echo "before: $(git -C "$top" log -1 --format='%h %s' "$commit"); now: this tree"
exec "$build/against" "$@"
