// What the readers of this folder share: whole files as bytes, and paths.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../core/error.hpp"

namespace sslcake::inline v0::data::detail {

/// `folder`/`name`; an empty folder is the current one.
std::string join(const std::string& folder, const std::string& name);
/// The whole file, which must have exactly `bytes` bytes (or, with -1, at most `most`). `advice` ends every message.
std::vector<std::uint8_t> read_bytes(const char* where, const std::string& path, std::int64_t bytes, const std::string& advice,
                                     std::int64_t most = std::int64_t{1} << 32);
/// Lines of a small text file without blanks at their ends and without empty lines; nothing where there is no such file.
std::vector<std::string> read_lines(const std::string& path);
/// The first of `folder` and `folder`/`inner` that holds the file `name`; fails naming what was looked for and what is there.
std::string find_folder(const char* where, const std::string& folder, const std::string& inner, const std::string& name,
                        const std::string& advice);

}  // namespace sslcake::inline v0::data::detail

#ifndef SSLCAKE_COMPILED
#include "files_inl.hpp"
#endif
