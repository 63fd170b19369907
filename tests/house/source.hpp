// Source text as the tests of the house see it.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace house {

struct Include {
  std::string path;
  bool quoted = false;  // "path", not <path>
  int line = 0;
};

struct Source {
  std::string name;  // from the top of the repository: include/sslcake/core/shape.hpp
  std::string text;
  bool inl() const { return name.ends_with("_inl.hpp"); }
  /// *_push.hpp and *_pop.hpp are halves of a pair that one header includes around something, each time anew.
  bool half() const { return name.ends_with("_push.hpp") || name.ends_with("_pop.hpp"); }
  /// Lies in a room itself. Deeper folders are a room's own affair (texts that are included once per instruction set).
  bool open_to_all() const { return !half() && std::count(name.begin(), name.end(), '/') <= 3; }
  /// The folder under include/sslcake/, e.g. "core"; the file's name for what lies in include/sslcake/ itself.
  std::string room() const;
};

/// The text without comments, string and character literals (their place is kept by blanks, so that lines stay).
std::string code_of(std::string_view text);
/// The #include lines that are not in a comment.
std::vector<Include> includes_of(std::string_view text);
/// Whether `word` stands in `code` as a whole word.
bool has_word(std::string_view code, std::string_view word);
int lines_of(std::string_view text);

/// All files under a folder of the repository (or the file of that name) with one of the endings, sorted by name.
std::vector<Source> sources(const std::string& folder, const std::vector<std::string>& endings);

/// Floor of a room of include/sslcake/ (1 is the lowest), or 0 if there is no such room.
int floor_of(std::string_view room);
/// Whether a header of room `from` may include one of room `to`.
bool may_include(std::string_view from, std::string_view to);

}  // namespace house
