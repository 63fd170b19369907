#!/bin/sh
# Makes a repository of this tree, for a project that clones it: of the files as they are now, committed or not. What that
# project had fetched before is thrown away.
# usage: repository.sh PROJECT_FOLDER REPOSITORY BUILD_FOLDER_OF_THE_CONSUMER
set -eu
top=$1 repository=$2 build=$3
rm -rf "$repository" "$build"
mkdir -p "$repository"
for name in .gitignore CMakeLists.txt CMakePresets.json LICENSE NOTICE.md README.md bench cmake docs examples include scripts tests; do
  if [ -e "$top/$name" ]; then cp -R "$top/$name" "$repository/"; fi
done
# Whatever the user's own configuration says about hooks, signatures and branches.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
cd "$repository"
git init -q
git symbolic-ref HEAD refs/heads/main
git add -A
git -c user.name=sslcake -c user.email=sslcake@example.invalid commit -q -m 'The tree under test'
git log --oneline --stat | tail -n 1
