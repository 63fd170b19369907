#!/bin/sh
# Clang's opinion of the programs without CUDA, whether or not this machine has nvcc, and of the kernels for GPUs as the model
# of a GPU compiles them.
# usage: programs.sh COMPILER PROJECT_FOLDER FLAGS...
set -eu
compiler=$1 top=$2
shift 2
failed=0
count=0
for source in "$top"/examples/*.cpp "$top"/examples/support/*.cpp "$top"/include/sslcake/kernels/cuda/*.cu; do
  case "$source" in
    *.cu) own="-Wno-unknown-pragmas -x c++" ;;
    *) own= ;;
  esac
  count=$((count + 1))
  # shellcheck disable=SC2086
  if ! "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Werror -DSSLCAKE_COMPILED "-I$top/include" "-I$top/examples" \
    "-I$top/tests/cuda/model" "$@" $own "$source"; then
    echo "^^^ $source"
    failed=$((failed + 1))
  fi
done
echo "$count compilations, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
