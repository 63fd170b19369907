#!/bin/sh
# Clang's opinion of every header of one room, each included alone: with its bodies, and without them. Folders inside a
# room are its own affair: their texts come with the headers that include them.
# usage: headers.sh COMPILER INCLUDE_FOLDER ROOM FLAGS...
set -eu
compiler=$1 include=$2 room=$3
shift 3
failed=0
count=0
for header in $(cd "$include" && find "sslcake/$room" -maxdepth 1 -name '*.hpp' ! -name '*_inl.hpp' | LC_ALL=C sort); do
  # Without it, a file is a part of others' text, made to be included several times and never alone.
  grep -q '^#pragma once' "$include/$header" || continue
  for mode in HEADER_ONLY SSLCAKE_COMPILED; do
    count=$((count + 1))
    if ! printf '#include <%s>\n' "$header" |
      "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Werror "-D$mode" "-I$include" "$@" -x c++ -; then
      echo "^^^ $header ($mode)"
      failed=$((failed + 1))
    fi
  done
done
echo "$count compilations, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
