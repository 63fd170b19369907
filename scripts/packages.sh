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
  if ! (export DEBIAN_FRONTEND=noninteractive
        $sudo apt-get -q update && $sudo apt-get -q install -y --no-install-recommends "${missing[@]}") </dev/null; then
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

cores() { nproc 2>/dev/null || echo 1; }
