// The plan of the house: rooms include only downwards, and bodies stay apart from their headers.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "source.hpp"

using namespace house;
namespace fs = std::filesystem;

namespace {
/// The repository's name of what `source` includes: relative paths are resolved from its folder.
std::string target_of(const Source& source, const Include& include) {
  if (!include.quoted) return "include/" + include.path;
  return (fs::path(source.name).parent_path() / include.path).lexically_normal().generic_string();
}
}  // namespace

TEST_CASE("the reader of include lines sees code, and only code") {
  const auto found = includes_of(
      "#include <a.h>\n// #include <b.h>\n/* \n#include <c.h>\n*/\n  #  include \"d/e.hpp\"\nauto s = \"#include <f.h>\";\n");
  REQUIRE(found.size() == 2);
  CHECK(found[0].path == "a.h");
  CHECK(!found[0].quoted);
  CHECK(found[1].path == "d/e.hpp");
  CHECK(found[1].quoted);
  CHECK(found[1].line == 6);
  CHECK(includes_of("auto s = R\"x(\n#include <g.h>\n)x\";\n").empty());
}

TEST_CASE("the rule itself") {
  CHECK(may_include("ops", "core"));
  CHECK(may_include("ops", "kernels"));
  CHECK(may_include("data", "augment"));
  CHECK(!may_include("augment", "data"));
  CHECK(!may_include("core", "ops"));
  CHECK(!may_include("nn", "optim"));
  CHECK(!may_include("ops", "no_such_room"));
}

TEST_CASE("includes go only downwards") {
  const auto files = sources("include/sslcake", {".hpp"});
  REQUIRE(files.size() > 10);
  for (const auto& file : files) {
    CHECK_MESSAGE(floor_of(file.room()) != 0, file.name, " is in no known room");
    for (const auto& include : includes_of(file.text)) {
      const auto where = file.name + ":" + std::to_string(include.line);
      if (!include.quoted) {
        CHECK_MESSAGE(!include.path.starts_with("sslcake/"), where, " includes the library by <>, not by a relative path");
        continue;
      }
      const auto target = target_of(file, include);
      CHECK_MESSAGE(fs::exists(fs::path(SSLCAKE_SOURCE_DIR) / target), where, " includes ", target, ", which is not there");
      CHECK_MESSAGE(may_include(file.room(), Source{target, ""}.room()), where, " includes ", target, ", which is not below it");
    }
  }
}

TEST_CASE("no two public headers need each other") {
  // A header and its bodies count as one: if b_inl.hpp includes a.hpp, and a.hpp includes b.hpp, then a program that
  // includes a.hpp first compiles the bodies of b before the declarations of a.
  const auto joined = [](const std::string& name) {
    const auto at = name.rfind("_inl.hpp");
    return at == name.npos ? name : name.substr(0, at) + ".hpp";
  };
  std::map<std::string, std::set<std::string>> targets;
  std::vector<std::string> open;
  for (const auto& file : sources("include/sslcake", {".hpp"})) {
    if (file.open_to_all() && !file.inl()) open.push_back(file.name);
    for (const auto& include : includes_of(file.text))
      if (include.quoted) targets[joined(file.name)].insert(joined(target_of(file, include)));
  }
  const auto reached = [&](const std::string& from) {
    std::set<std::string> found;
    std::vector<std::string> todo = {from};
    while (!todo.empty()) {
      const auto here = todo.back();
      todo.pop_back();
      for (const auto& next : targets[here])
        if (found.insert(next).second) todo.push_back(next);
    }
    return found;
  };
  std::map<std::string, std::set<std::string>> all;
  for (const auto& header : open) all[header] = reached(header);
  for (const auto& a : open)
    for (const auto& b : open)
      CHECK_MESSAGE(!(a < b && all[a].count(b) && all[b].count(a)), a, " and ", b, " include each other");
}

TEST_CASE("kernels know no tensors, the lowest floor knows the standard library alone") {
  for (const auto& file : sources("include/sslcake/kernels", {".hpp"}))
    for (const auto& include : includes_of(file.text))
      for (const auto* header : {"core/tensor", "core/shape", "autograd/"})
        CHECK_MESSAGE(include.path.find(header) == std::string::npos, file.name, " includes ", include.path);
  for (const auto& file : sources("include/sslcake/core", {".hpp"}))
    for (const auto& include : includes_of(file.text))
      if (!include.quoted)
        CHECK_MESSAGE((include.path.find('/') == std::string::npos || include.path.starts_with("sys/")), file.name, " includes ",
                      include.path);
}

TEST_CASE("every file of bodies has its header, which includes it last and only where nothing is compiled apart") {
  const auto files = sources("include/sslcake", {".hpp"});
  std::set<std::string> names;
  for (const auto& file : files) names.insert(file.name);
  for (const auto& file : files) {
    if (!file.open_to_all()) continue;
    CHECK_MESSAGE(file.text.find("#pragma once\n") != std::string::npos, file.name, " has no #pragma once");
    const auto includes = includes_of(file.text);
    if (!file.inl()) {
      const auto body = file.name.substr(0, file.name.size() - 4) + "_inl.hpp";
      if (!names.count(body)) continue;
      const auto tail = "#ifndef SSLCAKE_COMPILED\n#include \"" + fs::path(body).filename().string() + "\"\n#endif\n";
      CHECK_MESSAGE(file.text.ends_with(tail), file.name, " does not end with the three lines that include its bodies");
      continue;
    }
    const auto header = file.name.substr(0, file.name.size() - 8) + ".hpp";
    CHECK_MESSAGE(names.count(header), file.name, " has no header ", header);
    const bool included =
        std::any_of(includes.begin(), includes.end(), [&](const auto& i) { return i.quoted && target_of(file, i) == header; });
    CHECK_MESSAGE(included, file.name, " does not include ", header);
  }
}

TEST_CASE("the umbrella header has every public header, floor by floor") {
  const auto umbrella = sources("include/sslcake/sslcake.hpp", {".hpp"});
  REQUIRE(umbrella.size() == 1);
  std::set<std::string> included;
  int floor = 1;
  for (const auto& include : includes_of(umbrella[0].text)) {
    const auto target = target_of(umbrella[0], include);
    CHECK_MESSAGE(included.insert(target).second, target, " is included twice");
    const int here = floor_of(Source{target, ""}.room());
    CHECK_MESSAGE(here >= floor, target, " stands above a lower floor");
    floor = std::max(floor, here);
  }
  for (const auto& file : sources("include/sslcake", {".hpp"})) {
    if (!file.open_to_all() || file.inl() || file.name == umbrella[0].name) continue;
    CHECK_MESSAGE(included.count(file.name), file.name, " is missing: run scripts/umbrella");
  }
}
