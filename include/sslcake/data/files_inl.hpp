#pragma once

#include <algorithm>

#include "../io/files.hpp"
#include "files.hpp"

namespace sslcake::inline v0::data::detail {

SSLCAKE_INLINE std::string join(const std::string& folder, const std::string& name) {
  if (folder.empty() || name.empty()) return folder + name;
  return folder.back() == '/' ? folder + name : folder + '/' + name;
}

SSLCAKE_INLINE std::vector<std::uint8_t> read_bytes(const char* where, const std::string& path, std::int64_t bytes,
                                                    const std::string& advice, std::int64_t most) {
  if (!io::is_file(path)) fail(where, "there is no file '", path, "'; ", advice);
  const auto found = io::file_size(path);
  if (bytes >= 0 && found != bytes)
    fail(where, "expected '", path, "' to have ", bytes, " bytes, found ", found,
         found < bytes ? ": the file is incomplete; " : ": it is another file; ", advice);
  if (found < 0 || found > most)
    fail(where, "expected '", path, "' to have at most ", most, " bytes, found ", found, "; ", advice);
  const io::InputFile file(path);
  std::vector<std::uint8_t> content(static_cast<std::size_t>(found));
  file.read(0, content.data(), content.size());
  return content;
}

SSLCAKE_INLINE std::vector<std::string> read_lines(const std::string& path) {
  std::vector<std::string> lines;
  if (!io::is_file(path) || io::file_size(path) > (1 << 20)) return lines;
  const auto text = io::read_file(path);
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    auto line = text.substr(begin, end - begin);
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

SSLCAKE_INLINE std::string find_folder(const char* where, const std::string& folder, const std::string& inner,
                                       const std::string& name, const std::string& advice) {
  if (!io::is_folder(folder)) fail(where, "there is no folder '", folder, "'; ", advice);
  if (io::is_file(join(folder, name))) return folder;
  if (io::is_file(join(join(folder, inner), name))) return join(folder, inner);
  auto [present, folders, error] = io::list_folder(folder);
  present.insert(present.end(), folders.begin(), folders.end());
  std::sort(present.begin(), present.end());
  std::string listing;
  for (std::size_t i = 0; i < present.size() && i < 8; ++i) listing += (i ? ", " : "") + present[i];
  if (present.size() > 8) listing += ", ...";
  fail(where, "expected the file '", name, "' in '", folder, "' or in its folder '", inner, "', found ",
       present.empty() ? "an empty folder" : listing, "; ", advice);
}

}  // namespace sslcake::inline v0::data::detail
