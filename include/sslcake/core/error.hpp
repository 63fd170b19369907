// Errors: one exception type, one style of message.
//
//   [conv2d] expected weight (O,H,W,I) with I = 64, got (128,3,3,32)
//
// First the function the user called, then what was expected, what was found and, where it helps, what to do.
#pragma once

#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "config.hpp"

namespace sslcake::inline v0 {

/// The only exception type that sslcake throws on purpose. `what()` is the whole message.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

inline void append(std::string& out, std::string_view text) { out.append(text); }
inline void append(std::string& out, const char* text) { out.append(text); }
inline void append(std::string& out, const std::string& text) { out.append(text); }
inline void append(std::string& out, char c) { out.push_back(c); }
inline void append(std::string& out, bool b) { out.append(b ? "true" : "false"); }
void append_number(std::string& out, double value);  // shortest text that reads back; never the locale's

template <std::integral I>
void append(std::string& out, I value) {
  out.append(std::to_string(value));
}
template <std::floating_point F>
void append(std::string& out, F value) {
  append_number(out, static_cast<double>(value));
}
template <class T>
  requires requires(const T& t) { { t.str() } -> std::convertible_to<std::string>; }
void append(std::string& out, const T& value) {
  out.append(value.str());
}

template <class T>
  requires requires(const T& t) { { name_of(t) } -> std::convertible_to<const char*>; }  // enumerations, found by ADL
void append(std::string& out, const T& value) {
  out.append(name_of(value));
}

}  // namespace detail

/// Joins text, numbers, shapes and dtypes (anything with `.str()`) into one string.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

/// Throws `Error("[where] parts...")`. `where` is the public function's name, e.g. "conv2d".
template <class... Parts>
[[noreturn]] SSLCAKE_NOINLINE void fail(std::string_view where, const Parts&... parts) {
  throw Error(concat('[', where, "] ", parts...));
}

}  // namespace sslcake::inline v0

#ifndef SSLCAKE_COMPILED
#include "error_inl.hpp"
#endif
