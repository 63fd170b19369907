#!/bin/sh
# Compiles the programs in README.md from the page's own text, as a project of somebody else's, and runs those whose
# marker says with which arguments (extract.awk describes the markers). Each runs in a folder of its own.
# usage: run.sh README WORK PREFIX CMAKE COMPILER
set -eu
readme=$1 work=$2 prefix=$3 cmake=$4 compiler=$5
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$work/project"
rm -f "$work/project/programs"
awk -v out="$work/project" -f "$here/extract.awk" "$readme"
cp "$here/project.cmake" "$work/project/CMakeLists.txt"
"$cmake" -S "$work/project" -B "$work/build" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release
"$cmake" --build "$work/build"

tab=$(printf '\t')
while IFS="$tab" read -r name arguments; do
  if [ "$arguments" = "-" ]; then
    echo "$name: compiles"
    continue
  fi
  rm -rf "$work/run/$name"
  mkdir -p "$work/run/$name"
  echo "$name $arguments:"
  # shellcheck disable=SC2086  # the arguments are meant to be split
  (cd "$work/run/$name" && "$work/build/$name" $arguments </dev/null)
done <"$work/project/programs"
