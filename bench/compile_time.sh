#!/usr/bin/env bash
# How long the compiler takes, on one core, for those who include the library: the umbrella header alone and one of the
# programs, header-only and through the compiled target. Seconds of the processor (user + system), medians of three.
#
# usage: bench/compile_time.sh [program.cpp]     CXX chooses the compiler
set -euo pipefail
top=$(CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
program=${1:-$top/examples/simclr.cpp}
compiler=${CXX:-g++}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
eigen=${EIGEN_INCLUDE:-/usr/include/eigen3}

printf '#include <sslcake/sslcake.hpp>\n\nint main() {}\n' >"$work/umbrella.cpp"

median() {  # median COMMAND...: of three runs
  local i
  TIMEFORMAT='%U %S'
  for i in 1 2 3; do
    { time "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; kill $$; }; } 2>&1
  done | awk '{ print $1 + $2 }' | sort -n | sed -n 2p
}

header_only=(-std=c++20 "-I$top/include" "-I$top/examples" -isystem "$eigen")
compiled=(-std=c++20 -DSSLCAKE_COMPILED "-I$top/include" "-I$top/examples")
failed=0

row() {  # row TITLE LIMIT COMMAND...
  local seconds
  seconds=$(median "${@:3}")
  local verdict=yes
  awk -v s="$seconds" -v l="$2" 'BEGIN { exit !(s <= l) }' || { verdict=NO; failed=1; }
  printf '%-44s %8.2f s   <= %2d s  %s\n' "$1" "$seconds" "$2" "$verdict"
}

echo "$("$compiler" --version | head -n 1); $(grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //')"
printf '%-44s %10s  %8s\n' "" "CPU time" "wanted"
row "umbrella header, header-only" 4 "$compiler" "${header_only[@]}" -c "$work/umbrella.cpp" -o "$work/a.o"
row "$(basename "$program") -O2, header-only" 15 "$compiler" "${header_only[@]}" -O2 -c "$program" -o "$work/b.o"
row "umbrella header, compiled target" 2 "$compiler" "${compiled[@]}" -c "$work/umbrella.cpp" -o "$work/c.o"
row "$(basename "$program") -O2, compiled target" 6 "$compiler" "${compiled[@]}" -O2 -c "$program" -o "$work/d.o"
exit "$failed"
