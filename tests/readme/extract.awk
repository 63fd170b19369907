# Takes the marked programs out of a Markdown page:
#
#   <!-- compile: name.cpp; lines: 40; run: builtin 1 -->
#   ```cpp
#   ...
#   ```
#
# writes them into the folder `out` and lists them in out/programs as "name<TAB>arguments", with "-" where a program is
# only compiled. `lines` (40 if it is not given) is the most that the block may have. Fails, with the reason, for a
# marker without a block, a block that is too long or empty, a name that comes twice, and a page without any program.
function refuse(reason) { printf "README line %d: %s\n", NR, reason > "/dev/stderr"; failed = 1; exit 1 }
function trimmed(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }

/^<!-- *compile:/ {
  if (name != "") refuse("the block of " name " is missing")
  text = $0
  if (text !~ /-->[ \t]*$/) refuse("the marker does not end on its line")
  sub(/^<!-- */, "", text)
  sub(/ *-->[ \t]*$/, "", text)
  limit = 40
  arguments = "-"
  parts = split(text, part, ";")
  for (i = 1; i <= parts; ++i) {
    key = trimmed(substr(part[i], 1, index(part[i], ":") - 1))
    value = trimmed(substr(part[i], index(part[i], ":") + 1))
    if (index(part[i], ":") == 0) { key = trimmed(part[i]); value = "" }
    if (key == "compile") name = value
    else if (key == "lines") limit = value + 0
    else if (key == "run") arguments = value
    else refuse("unknown word in the marker: " key)
  }
  if (name !~ /^[A-Za-z0-9_]+\.cpp$/) refuse("expected a name such as program.cpp, got \"" name "\"")
  if (name in seen) refuse(name " comes twice")
  seen[name] = 1
  next
}
name != "" && !inside {
  if ($0 ~ /^[ \t]*$/) next
  if ($0 !~ /^```cpp[ \t]*$/) refuse("expected ```cpp after the marker of " name)
  inside = 1
  count = 0
  file = out "/" name
  printf "" > file
  next
}
inside && /^```[ \t]*$/ {
  close(file)
  if (count == 0) refuse(name " is empty")
  if (count > limit) refuse(name " has " count " lines, at most " limit " are promised")
  sub(/\.cpp$/, "", name)
  printf "%s\t%s\n", name, arguments > (out "/programs")
  ++programs
  inside = 0
  name = ""
  next
}
inside { ++count; print > file }

END {
  if (failed) exit 1
  if (name != "") { printf "README: the block of %s is not closed\n", name > "/dev/stderr"; exit 1 }
  if (programs == 0) { print "README: no program is marked with <!-- compile: name.cpp -->" > "/dev/stderr"; exit 1 }
}
