#!/bin/sh
# Runs the lines of scripts/demo that train and evaluate, as they stand there, with the programs of another build, and
# judges what they measured: kNN (k = 200) on the features must be right for 70 % of the pictures, and 25 % ahead of raw
# pixels and of an untrained encoder.
# usage: demo.sh DEMO BUILD_FOLDER OUT
set -eu
demo=$1 build=$2 out=$3
lines=$(grep '^"\$build/bin/' "$demo") || lines=""
if [ "$(printf '%s\n' "$lines" | wc -l)" -ne 2 ]; then
  echo "expected two lines in $demo that call a program of \$build/bin, found: $lines"
  exit 1
fi
rm -rf "$out"
eval "set -e
$lines"
awk '
  { while (match($0, /"(pixels_knn200|random_knn200|knn200)": *[0-9.]+/)) {
      split(substr($0, RSTART + 1, RLENGTH - 1), part, /": */)
      share[part[1]] = part[2] + 0
      $0 = substr($0, RSTART + RLENGTH)
    } }
  END {
    before = share["pixels_knn200"] > share["random_knn200"] ? share["pixels_knn200"] : share["random_knn200"]
    printf "kNN 200: %.3f; raw pixels %.3f, untrained %.3f\n", share["knn200"], share["pixels_knn200"], share["random_knn200"]
    if (!(before > 0 && share["knn200"] >= 0.70 && share["knn200"] >= before + 0.25)) {
      print "expected at least 0.70, and 0.25 more than both others"
      exit 1
    }
  }' "$out/evaluation.json"
