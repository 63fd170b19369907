#pragma once

#include <charconv>

#include "error.hpp"

namespace sslcake::inline v0::detail {

SSLCAKE_INLINE void append_number(std::string& out, double value) {
  char text[40];
  // Six significant digits are what a message needs; std::to_chars ignores the locale.
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 6).ptr;
  out.append(text, end);
}

}  // namespace sslcake::inline v0::detail
