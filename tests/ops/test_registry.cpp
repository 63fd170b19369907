// No op without a gradient check: reads the op names from the sources themselves.
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "gradcheck.hpp"

namespace {

/// Names that the sources hand to record(), or to the helpers that record pointwise functions on their behalf.
struct Found {
  std::set<std::string> names;
  std::vector<std::string> unnamed;  // calls of record() whose first argument is no literal
};

Found op_names(const std::filesystem::path& folder) {
  Found found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".hpp") continue;
    std::ifstream file(entry.path());
    std::string line, text;
    while (std::getline(file, line)) text += line.substr(0, line.find("//")) + "\n";
    for (const std::string call : {"record(", "unary(", "unary_op(", "pair("}) {
      for (auto at = text.find(call); at != std::string::npos; at = text.find(call, at + 1)) {
        if (at > 0 && (std::isalnum(static_cast<unsigned char>(text[at - 1])) || text[at - 1] == '_')) continue;  // will_record(
        const auto first = text.find_first_not_of(" \n", at + call.size());
        if (text[first] == '"') found.names.insert(text.substr(first + 1, text.find('"', first + 1) - first - 1));
        else if (call == "record(")
          found.unnamed.push_back(entry.path().filename().string() + ": " + text.substr(at, text.find('\n', first) - at));
      }
    }
  }
  return found;
}

/// Names of the functions that the headers of `folder` offer, those of namespace detail aside: an op that is composed of
/// others records nothing under its own name, and is an op all the same.
std::set<std::string> public_names(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto file_name = entry.path().filename().string();
    if (file_name.ends_with("_inl.hpp")) continue;
    std::ifstream file(entry.path());
    bool detail = false;
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("namespace")) detail = line.find("detail") != std::string::npos;
      if (line.starts_with("}  // namespace")) detail = false;
      for (const std::string type : {"Tensor ", "NtXentResult "})
        if (!detail && line.starts_with(type) && line.find('(') != std::string::npos)
          names.insert(line.substr(type.size(), line.find('(') - type.size()));
    }
  }
  return names;
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& n : names) out += (out.empty() ? "" : ", ") + n;
  return out;
}

}  // namespace

TEST_CASE("every op has a gradient check with ordinary, odd, size-1 and empty shapes") {
  const auto folder = std::filesystem::path(SSLCAKE_SOURCE_DIR) / "include/sslcake/ops";
  Found found = op_names(folder);
  REQUIRE(found.names.size() > 10);  // else the scan itself is broken
  auto offered = public_names(folder);
  REQUIRE(offered.count("instance_norm") == 1);
  REQUIRE(offered.size() > 50);
  CHECK(offered.erase("argmax") == 1);  // indices have no gradient
  found.names.merge(offered);

  std::map<std::string, op_test::ShapeKinds> kinds;
  for (const auto& c : op_test::op_cases()) {
    const auto seen = op_test::shape_kinds_of(c);
    auto& k = kinds[c.op];
    k.ordinary |= seen.ordinary; k.odd |= seen.odd; k.one |= seen.one; k.empty |= seen.empty;
  }

  std::vector<std::string> without, incomplete;
  for (const auto& name : found.names) {
    const auto at = kinds.find(name);
    if (at == kinds.end()) { without.push_back(name); continue; }
    std::string lacking;
    if (!at->second.ordinary) lacking += " ordinary";
    if (!at->second.odd) lacking += " odd";
    if (!at->second.one) lacking += " size-1";
    if (!at->second.empty) lacking += " empty";
    if (!lacking.empty()) incomplete.push_back(name + " (no" + lacking + ")");
  }
  CHECK_MESSAGE(without.empty(), "ops without OP_CASE: ", listed(without));
  CHECK_MESSAGE(incomplete.empty(), "ops whose cases leave out a kind of shape: ", listed(incomplete));

  // record() with a computed name would escape this test; only the helpers of the elementwise ops may do that.
  std::vector<std::string> escaped;
  for (const auto& call : found.unnamed)
    if (call.rfind("elementwise_inl.hpp:", 0) != 0) escaped.push_back(call);
  CHECK_MESSAGE(escaped.empty(), "record() without a literal name: ", listed(escaped));
}
