#include "source.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <map>
#include <utility>

namespace house {

namespace fs = std::filesystem;

std::string Source::room() const {
  const std::string top = "include/sslcake/";
  const auto rest = name.starts_with(top) ? name.substr(top.size()) : name;
  return rest.substr(0, rest.find('/'));
}

std::string code_of(std::string_view text) {
  std::string out(text);
  const auto blank = [&](std::size_t begin, std::size_t end) {
    for (auto i = begin; i < std::min(end, out.size()); ++i)
      if (out[i] != '\n') out[i] = ' ';
  };
  const auto until = [&](std::string_view mark, std::size_t from) {
    const auto at = text.find(mark, from);
    return at == text.npos ? text.size() : at;
  };
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i + 1;
    const char c = text[i];
    const bool digit_before = i > 0 && std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0;  // 16'000
    if (text.substr(i, 2) == "//") {
      blank(i, end = until("\n", i));
    } else if (text.substr(i, 2) == "/*") {
      blank(i, end = until("*/", i + 2) + 2);
    } else if (text.substr(i, 2) == "R\"") {
      const auto open = until("(", i);
      const auto close = ")" + std::string(text.substr(i + 2, open - i - 2)) + "\"";
      end = until(close, open) + close.size();
      blank(i, end);
    } else if (c == '"' || (c == '\'' && !digit_before)) {
      while (end < text.size() && text[end] != c && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
      blank(i + 1, end);
      ++end;
    }
    i = end;
  }
  return out;
}

std::vector<Include> includes_of(std::string_view text) {
  std::vector<Include> found;
  const std::string code = code_of(text);  // tells whether the line is real; the path is read from the text
  int line = 0;
  for (std::size_t begin = 0; begin < text.size(); ++line) {
    const auto end = std::min(text.find('\n', begin), text.size());
    std::string_view row(text.data() + begin, end - begin), real(code.data() + begin, end - begin);
    begin = end + 1;
    const auto skip = [](std::string_view& s) { s.remove_prefix(std::min(s.find_first_not_of(" \t"), s.size())); };
    skip(real);
    if (!real.starts_with('#')) continue;
    real.remove_prefix(1);
    skip(real);
    if (!real.starts_with("include")) continue;
    const auto open = row.find_first_of("<\"");
    if (open == row.npos) continue;
    const auto close = row.find(row[open] == '<' ? '>' : '"', open + 1);
    if (close == row.npos) continue;
    found.push_back({std::string(row.substr(open + 1, close - open - 1)), row[open] == '"', line + 1});
  }
  return found;
}

bool has_word(std::string_view code, std::string_view word) {
  const auto letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (auto at = code.find(word); at != code.npos; at = code.find(word, at + 1)) {
    const auto after = at + word.size();
    if ((at == 0 || !letter(code[at - 1])) && (after >= code.size() || !letter(code[after]))) return true;
  }
  return false;
}

int lines_of(std::string_view text) { return static_cast<int>(std::count(text.begin(), text.end(), '\n')); }

std::vector<Source> sources(const std::string& folder, const std::vector<std::string>& endings) {
  const fs::path top = SSLCAKE_SOURCE_DIR;
  std::vector<Source> found;
  const auto take = [&](const fs::path& file) {
    const auto name = fs::relative(file, top).generic_string();
    if (std::none_of(endings.begin(), endings.end(), [&](const auto& e) { return name.ends_with(e); })) return;
    std::ifstream in(file, std::ios::binary);
    found.push_back({name, std::string(std::istreambuf_iterator<char>(in), {})});
  };
  if (fs::is_regular_file(top / folder)) take(top / folder);
  if (fs::is_directory(top / folder))
    for (const auto& entry : fs::recursive_directory_iterator(top / folder))
      if (entry.is_regular_file()) take(entry.path());
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return found;
}

int floor_of(std::string_view room) {
  static const std::map<std::string_view, int> floors = {
      {"core", 1},
      {"autograd", 2}, {"kernels", 2},
      {"ops", 3}, {"io", 3}, {"image", 3},
      {"nn", 4}, {"optim", 4}, {"data", 4}, {"augment", 4}, {"text", 4},
      {"pretext", 5},
      {"train", 6}, {"eval", 6}, {"report", 6},
      {"sslcake.hpp", 7}};
  const auto at = floors.find(room);
  return at == floors.end() ? 0 : at->second;
}

bool may_include(std::string_view from, std::string_view to) {
  if (from == to) return true;
  // A view specification, which data sets carry out, names an augmentation.
  if (from == "data" && to == "augment") return true;
  // The training loop shows what evaluation measures: kNN and the collapse meters.
  if (from == "train" && to == "eval") return true;
  return floor_of(to) != 0 && floor_of(to) < floor_of(from);
}

}  // namespace house
