#!/bin/sh
# The benchmarks, which no other test builds, still compile.
# usage: benchmarks.sh COMPILER PROJECT_FOLDER FLAGS...
set -eu
compiler=$1 top=$2
shift 2
failed=0
count=0
google=yes
printf '#include <benchmark/benchmark.h>\n' | "$compiler" -std=c++20 -fsyntax-only -x c++ - 2>/dev/null || google=no
for source in "$top"/bench/*.cpp "$top"/bench/against/*.cpp; do
  case "$google$(basename "$source")" in
    nobench_*)
      echo "skipped: $(basename "$source") needs Google Benchmark (Debian and Ubuntu: libbenchmark-dev)"
      continue ;;
  esac
  count=$((count + 1))
  if ! "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Werror -DSSLCAKE_COMPILED -DSSLCAKE_SIDE=side_now "-I$top/include" "$@" "$source"; then
    echo "^^^ $source"
    failed=$((failed + 1))
  fi
done
echo "$count compilations, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
