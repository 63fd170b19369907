#!/bin/sh
# What extract.awk accepts and refuses. usage: test_extract.sh WORK
set -eu
work=$1
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$work"
mkdir -p "$work"

extract() {  # extract CASE: reads the page from standard input
  mkdir -p "$work/$1"
  awk -v out="$work/$1" -f "$here/extract.awk" 2>"$work/$1/errors"
}
refused() {  # refused CASE WORDS: the page on standard input must be refused with these words
  if extract "$1"; then
    echo "$1: was accepted"
    exit 1
  fi
  grep -q -- "$2" "$work/$1/errors" || { echo "$1: expected \"$2\", got: $(cat "$work/$1/errors")"; exit 1; }
}

printf '%s\n' 'text' '<!-- compile: a.cpp; lines: 2; run: builtin 1 -->' '```cpp' 'int main() {}' '```' \
  '```cpp' 'not marked' '```' '<!-- compile: b.cpp -->' '' '```cpp' '// b' 'int x;' '```' | extract good
[ "$(cat "$work/good/programs")" = "$(printf 'a\tbuiltin 1\nb\t-')" ] || { echo "good: wrong list"; cat "$work/good/programs"; exit 1; }
[ "$(cat "$work/good/a.cpp")" = 'int main() {}' ] || { echo "good: wrong text"; exit 1; }
[ "$(wc -l <"$work/good/b.cpp")" -eq 2 ] || { echo "good: wrong text of b"; exit 1; }

printf '%s\n' 'nothing here' | refused none 'no program is marked'
printf '%s\n' '<!-- compile: a.cpp; lines: 1 -->' '```cpp' '1' '2' '```' | refused long 'a.cpp has 2 lines'
printf '%s\n' '<!-- compile: a.cpp -->' 'text' | refused block 'expected ```cpp'
printf '%s\n' '<!-- compile: a.cpp -->' '```cpp' '```' | refused empty 'a.cpp is empty'
printf '%s\n' '<!-- compile: a.cpp -->' '```cpp' '1' | refused open 'not closed'
printf '%s\n' '<!-- compile: ../a.cpp -->' '```cpp' '1' '```' | refused name 'expected a name'
printf '%s\n' '<!-- compile: a.cpp; laenge: 3 -->' '```cpp' '1' '```' | refused word 'unknown word'
printf '%s\n' '<!-- compile: a.cpp -->' '```cpp' '1' '```' '<!-- compile: a.cpp -->' '```cpp' '1' '```' | refused twice 'comes twice'
echo "all as expected"
