#!/bin/sh
# Runs one libFuzzer program for some seconds, from the kept corpus, and from the pictures of the data set
# hostile-images where SSLCAKE_DATA has it. What crashes is left in the folder `found` beside the program: put it into
# tests/fuzz/corpus/READER once it is understood, and the tests replay it for ever.
# usage: run.sh PROGRAM SECONDS
set -eu
program=$1 seconds=$2
here=$(cd "$(dirname "$0")" && pwd)
name=$(basename "$program")
reader=${name#fuzz_}
work=$(dirname "$program")
mkdir -p "$work/found" "$work/grown/$reader"
set -- "$work/grown/$reader" "$here/corpus/$reader"
if [ "$reader" = image ] && [ -n "${SSLCAKE_DATA:-}" ] && [ -d "$SSLCAKE_DATA/hostile-images" ]; then
  set -- "$@" "$SSLCAKE_DATA/hostile-images"
fi
exec "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=65536 -print_final_stats=1 \
  -artifact_prefix="$work/found/$reader-" "$@"
