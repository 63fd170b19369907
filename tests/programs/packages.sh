#!/bin/sh
# scripts/packages.sh and those who call it, without a network and without touching the machine: what they need is there,
# or it is not and cannot be installed. The commands that they find are our own.
# usage: packages.sh PROGRAMS SCRATCH (the programs are not needed)
set -u
scratch=$2
source_dir=${SSLCAKE_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bash=$(command -v bash) || { echo "skipped: there is no bash"; exit 0; }
cd "$scratch" || exit 1

fail() { echo "FAILED: $*"; cat out calls 2>/dev/null; exit 1; }
expect() { grep -qxF -e "$1" out || fail "expected the line '$1'"; }
fake() { printf '#!/bin/sh\n%s\n' "$2" >"bin/$1" && chmod +x "bin/$1"; }  # fake NAME LINE

# A machine of our own: a user, and what a build needs below a prefix.
mkdir -p bin 'a prefix/include/eigen3/Eigen' 'a prefix/include/stb' 'else where'
for tool in cat dirname sed; do ln -s "$(command -v $tool)" "bin/$tool"; done
touch 'a prefix/include/eigen3/Eigen/Core' 'a prefix/include/stb/stb_image.h'
fake g++ :; fake cmake :; fake make :
user() { fake id "echo $1"; }
apt() { fake apt-get "echo \"apt-get \$*\" >>'$scratch/calls'; exit $1"; }
sudo() { fake sudo "echo \"sudo \$*\" >>'$scratch/calls'; exit $1"; }

# wanted FILE: a script in another folder that needs the toolchain and one file more.
wanted() {
  rm -f calls
  (cd 'else where' && PATH=$scratch/bin CMAKE_PREFIX_PATH="$scratch/a prefix" "$bash" -c "
    set -euo pipefail
    source '$source_dir/scripts/packages.sh'
    need_toolchain
    need_file libsslcake-nothing-dev $1
    install_missing
    echo \"missing: \${#missing[@]}\"" scripts/some) </dev/null >out 2>&1
}

# Everything is there: nothing is called, and no apt-get is needed.
user 1000
apt 0
sudo 0
wanted include/stb/stb_image.h || fail 'everything was there'
expect 'missing: 0'
[ ! -e calls ] || fail 'called something though everything was there'
# A checkout that was moved is configured anew, one that was not is left alone.
mkdir -p moved/CMakeFiles kept/CMakeFiles
echo "CMAKE_CACHEFILE_DIR:INTERNAL=$scratch/elsewhere" >moved/CMakeCache.txt
echo "CMAKE_CACHEFILE_DIR:INTERNAL=$scratch/kept" >kept/CMakeCache.txt
for folder in moved kept new; do "$bash" -c "set -euo pipefail; source '$source_dir/scripts/packages.sh'; fresh_build '$scratch/$folder'" || fail "fresh_build $folder"; done
[ ! -e moved/CMakeCache.txt ] && [ ! -e moved/CMakeFiles ] || fail 'a folder that was configured elsewhere is kept'
[ -e kept/CMakeCache.txt ] && [ -e kept/CMakeFiles ] && [ -d new ] || fail 'a folder that was configured here is not kept'
[ "$("$bash" -c "source '$source_dir/scripts/packages.sh'; cores")" -ge 1 ] || fail 'no core to build with'
rm bin/apt-get bin/sudo
wanted 'include/none.h include/*/stb_image.h' || fail 'everything was there, and no apt-get'

# Something is missing.
install='apt-get update && apt-get install -y --no-install-recommends libsslcake-nothing-dev'
asks_for='apt-get update && sudo apt-get install -y --no-install-recommends libsslcake-nothing-dev'
wanted include/none.h && fail 'went on without a file, and without apt-get'
expect "Missing here, by the names of Debian's packages: libsslcake-nothing-dev"
apt 0
sudo 1
wanted include/none.h && fail 'went on without a password'
expect "  sudo $asks_for"
expect 'and then scripts/some again.'
grep -q '^apt-get' calls && fail 'called apt-get as a user'
user 0
apt 100
wanted include/none.h && fail 'went on after apt-get had failed'
expect "  $install"
[ "$(cat calls)" = 'apt-get -q -o DPkg::Lock::Timeout=600 update' ] || fail 'went on with apt-get'
apt 0
wanted include/none.h || fail 'apt-get did install it'
expect 'missing: 0'
[ "$(tail -n 1 calls)" = 'apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends libsslcake-nothing-dev' ] || fail 'the wrong command'

# The scripts themselves, called from elsewhere: they stop before any work, or answer.
elsewhere() { (cd 'else where' && PATH=$scratch/bin "$bash" "$source_dir/scripts/$@") </dev/null >out 2>&1; }
apt 100
for name in demo test; do
  rm bin/g++
  elsewhere "$name" && fail "$name went on without a compiler"
  grep -q '^  apt-get update && apt-get install -y --no-install-recommends g++' out || fail "$name: how to install a compiler?"
  grep -q Building out && fail "$name began to build"
  fake g++ :
  elsewhere "$name" --help || fail "$name --help"
  grep -q "usage: scripts/$name" out || fail "$name --help does not say how to call it"
done
elsewhere demo --fast && fail 'an option that demo does not have'
expect "scripts/demo takes no options, got '--fast'"
echo passed
