#!/bin/sh
# Fetches public data sets from their authors' pages, checks their sums, and unpacks them where --data expects them.
# What is there already is left alone, so it can be run again after a failure.
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
sources=$here/sources.txt

usage() {
  cat <<END
usage: $0 [--into DIR] [--from DIR] SET...

  SET         cifar10 (170 MB), cifar100 (169 MB), mnist (12 MB), fashion-mnist (31 MB), kmnist (21 MB),
              stl10 (2.6 GB, unpacked 3.1 GB), or all
  --into DIR  unpack into DIR/SET (default: $here)
  --from DIR  fetch nothing: take the downloaded files from DIR/SET or DIR, and leave them there

Formats and terms of use: $here/README.md
END
}

say() { printf '%s\n' "$*"; }
complain() { printf 'fetch.sh: %s\n' "$*" >&2; }

into=$here from='' sets=''
while [ $# -gt 0 ]; do
  case $1 in
    --into | --from)
      [ $# -ge 2 ] || { complain "$1 needs a folder"; usage >&2; exit 2; }
      if [ "$1" = --into ]; then into=$2; else from=$2; fi
      shift 2 ;;
    -h | --help) usage; exit 0 ;;
    all) sets="$sets cifar10 cifar100 mnist fashion-mnist kmnist stl10"; shift ;;
    cifar10 | cifar100 | mnist | fashion-mnist | kmnist | stl10) sets="$sets $1"; shift ;;
    *) complain "unknown data set or option '$1'"; usage >&2; exit 2 ;;
  esac
done
[ -n "$sets" ] || { usage >&2; exit 2; }
[ -r "$sources" ] || { complain "cannot read $sources, which belongs beside this script"; exit 1; }
if [ -n "$from" ] && [ ! -d "$from" ]; then complain "there is no folder '$from'"; exit 1; fi

md5_of() {
  if command -v md5sum >/dev/null 2>&1; then md5sum <"$1" | cut -d ' ' -f 1
  elif command -v md5 >/dev/null 2>&1; then md5 -q "$1"
  elif command -v openssl >/dev/null 2>&1; then openssl md5 <"$1" | sed 's/.*= *//'
  else complain "needs md5sum, md5 or openssl to check what was fetched"; return 1
  fi
}

# download URL FILE: continues a download that was cut short.
download() {
  if command -v curl >/dev/null 2>&1; then
    curl --fail --location --silent --show-error --connect-timeout 20 --continue-at - --output "$2" "$1"
  elif command -v wget >/dev/null 2>&1; then
    wget --no-verbose --timeout=20 --tries=1 --continue --output-document="$2" "$1"
  else
    complain "needs curl or wget to fetch anything"
    return 1
  fi
}

# by_hand SET ADDRESS...: what somebody can do whose machine this script cannot help.
by_hand() {
  name=$1
  shift
  complain "$name: could not fetch all of it. Without a network, fetch on another machine:"
  printf '    %s\n' "$@" >&2
  complain "  put the files into some folder, and unpack them from there:"
  complain "    $0 --from FOLDER --into '$into' $name"
}

# obtain SET FILE MD5 TARGET URL...: puts the checked file's path into $archive.
obtain() {
  set_name=$1 file=$2 sum=$3 target=$4
  shift 4
  if [ -n "$from" ]; then
    archive=$from/$set_name/$file
    [ -f "$archive" ] || archive=$from/$file
    if [ ! -f "$archive" ]; then
      complain "$set_name: there is no '$file' in '$from' or '$from/$set_name'; it comes from $1"
      return 1
    fi
    found=$(md5_of "$archive") || return 1
    [ "$found" = "$sum" ] && return 0
    complain "$set_name: '$archive' is damaged or another file: expected MD5 $sum, found $found"
    return 1
  fi
  archive=$target/$file
  for url in "$@"; do
    say "$set_name: fetching $url"
    download "$url" "$archive.part" || continue
    found=$(md5_of "$archive.part") || return 1
    if [ "$found" = "$sum" ]; then
      mv "$archive.part" "$archive"
      return 0
    fi
    complain "$set_name: what $url gave has the MD5 sum $found, expected $sum; it is thrown away"
    rm -f "$archive.part"
  done
  missing="$missing $1"
  return 1
}

# unpack FILE PROVIDES TARGET: first aside, then by renaming, so that what has its name is complete.
unpack() {
  case $1 in
    *.tar.gz)
      folder=${2%%/*}
      rm -rf "$3/.unpacking" && mkdir -p "$3/.unpacking" && tar -xzf "$1" -C "$3/.unpacking" &&
        [ -f "$3/.unpacking/$2" ] && rm -rf "${3:?}/$folder" && mv "$3/.unpacking/$folder" "$3/$folder" && rm -rf "$3/.unpacking" ;;
    *.gz) gzip -dc "$1" >"$3/$2.part" && mv "$3/$2.part" "$3/$2" ;;
  esac
}

class_names() {
  case $1 in
    fashion-mnist) printf '%s\n' t-shirt trouser pullover dress coat sandal shirt sneaker bag 'ankle boot' ;;
    kmnist) printf '%s\n' o ki su tsu na ha ma ya re wo ;;
  esac
}

spec_of() {
  case $1 in
    mnist | fashion-mnist | kmnist) say "idx:$into/$1" ;;
    *) say "$1:$into/$1" ;;
  esac
}

# fetch_set SET: every line of the set in sources.txt.
fetch_set() {
  target=$into/$1
  mkdir -p "$target" || { complain "$1: cannot make the folder '$target'"; return 1; }
  names=$(class_names "$1")
  if [ -n "$names" ] && [ ! -f "$target/class_names.txt" ]; then
    printf '%s\n' "$names" >"$target/class_names.txt" || return 1
  fi
  bad=0 fresh=0 missing=''
  while read -r set_name file sum provides urls; do
    [ "$set_name" = "$1" ] || continue
    if [ -f "$target/$provides" ] || [ -f "$target/${provides##*/}" ]; then continue; fi
    # shellcheck disable=SC2086  # several addresses, without blanks
    obtain "$1" "$file" "$sum" "$target" $urls || { bad=1; continue; }
    say "$1: unpacking $file"
    if ! unpack "$archive" "$provides" "$target"; then
      complain "$1: could not unpack '$archive' into '$target': is the disk full?"
      rm -rf "$target/.unpacking" "$target/$provides.part"
      bad=1
      continue
    fi
    [ -n "$from" ] || rm -f "$archive"
    fresh=1
  done <"$sources"
  # shellcheck disable=SC2086
  [ -z "$missing" ] || by_hand "$1" $missing
  [ "$bad" = 0 ] || return 1
  if [ "$fresh" = 1 ]; then say "$1: ready, --data '$(spec_of "$1")'"
  else say "$1: there already, --data '$(spec_of "$1")'"
  fi
}

failed=''
for name in $sets; do
  fetch_set "$name" || failed="$failed $name"
done
[ -z "$failed" ] || { complain "not complete:$failed"; exit 1; }
