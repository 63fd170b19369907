# Sourced by the scripts beside it: finds out what is missing on this machine and installs it, where that is allowed.
# Nothing is touched, and no network is asked, when everything is there.

missing=()

# need_command PACKAGE COMMAND: the package is missing if the command is.
need_command() {
  command -v "$2" >/dev/null 2>&1 || missing+=("$1")
}

# need_file PACKAGE PATH...: the package is missing if none of the paths is below the usual prefixes.
need_file() {
  local package=$1 prefix path
  shift
  local prefixes
  IFS=':;' read -r -a prefixes <<<"${CMAKE_PREFIX_PATH:-}"
  for prefix in "${prefixes[@]}" /usr/local /usr; do
    for path in "$@"; do
      # compgen expands a pattern such as lib/*/libx.so
      if [ -n "$prefix" ] && compgen -G "$prefix/$path" >/dev/null; then return; fi
    done
  done
  missing+=("$package")
}

# Installs what the calls above found missing, or says how and stops.
install_missing() {
  [ "${#missing[@]}" -gt 0 ] || return 0
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then sudo="sudo "; fi
  local command="${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends ${missing[*]}"
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing here, by the names of Debian's packages: ${missing[*]}" >&2
    echo "This machine has no apt-get; please install them in its own way and run $0 again." >&2
    exit 1
  fi
  if [ -n "$sudo" ] && ! sudo -n true >/dev/null 2>&1; then
    echo "Missing: ${missing[*]}" >&2
    echo "They cannot be installed without a password. Please run" >&2
    echo >&2
    echo "  $command" >&2
    echo >&2
    echo "and then $0 again." >&2
    exit 1
  fi
  echo "Installing ${missing[*]}"
  # Another installation may be under way: this one waits for it, and tries again where the lists are being fetched, for
  # which apt-get does not wait. sudo passes on what is named behind it only.
  local -a apt=(apt-get -q -o DPkg::Lock::Timeout=600)
  local tries=0 rest=10
  if [ -n "$sudo" ]; then apt=(sudo DEBIAN_FRONTEND=noninteractive "${apt[@]}"); fi
  if ! (export DEBIAN_FRONTEND=noninteractive
        until "${apt[@]}" update; do
          tries=$((tries + 1))
          { [ "$tries" -lt 6 ] && command -v fuser >/dev/null 2>&1 && fuser /var/lib/apt/lists/lock >/dev/null 2>&1; } || exit 1
          sleep "$rest"
        done
        "${apt[@]}" install -y --no-install-recommends "${missing[@]}") </dev/null; then
    echo "That did not work. Please see to it that this succeeds, and run $0 again:" >&2
    echo >&2
    echo "  $command" >&2
    exit 1
  fi
  missing=()
}

# What every build of the library needs.
need_toolchain() {
  need_command g++ g++
  need_command cmake cmake
  need_command make make
  need_file libeigen3-dev include/eigen3/Eigen/Core include/Eigen/Core
  need_file libstb-dev include/stb/stb_image.h
}

# How many compilers may run at once: one to a core, and to a gigabyte of memory, of the machine or of the container.
cores() {
  local count kilobytes limit
  count=$(nproc 2>/dev/null || echo 1)
  kilobytes=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo 2>/dev/null || true)
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || true)
  case "$limit" in "" | *[!0-9]*) ;; *) if [ $((limit / 1024)) -lt "${kilobytes:-0}" ]; then kilobytes=$((limit / 1024)); fi ;; esac
  if [ -n "$kilobytes" ] && [ $((kilobytes / 1048576)) -lt "$count" ]; then count=$((kilobytes / 1048576)); fi
  if [ "$count" -lt 1 ]; then count=1; fi
  echo "$count"
}

# fresh_build FOLDER: a folder that was configured elsewhere (the checkout was moved) is configured anew, and a generator for
# several configurations at once would put programs where nobody looks.
fresh_build() {
  mkdir -p "$1"
  case "${CMAKE_GENERATOR:-}" in *Multi-Config* | Xcode) unset CMAKE_GENERATOR ;; esac
  local before
  before=$(sed -n 's/^CMAKE_CACHEFILE_DIR:INTERNAL=//p' "$1/CMakeCache.txt" 2>/dev/null || true)
  if [ -n "$before" ] && ! [ "$before" -ef "$1" ]; then rm -rf "$1/CMakeCache.txt" "$1/CMakeFiles"; fi
}
