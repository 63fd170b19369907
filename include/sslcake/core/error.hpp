// Errors: one exception type, one style of message.
//
//   [conv2d] expected weight (O,H,W,I) with I = 64, got (128,3,3,32)
//
// First the function the user called, then what was expected, what was found and, where it helps, what to do.
#pragma once

#include <cerrno>
#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "config.hpp"

namespace sslcake::inline v0 {

/// The only exception type that sslcake throws on purpose. `what()` is the whole message.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What the system could not do just then, whatever the file: the same may succeed later.
class TemporaryError : public Error {
 public:
  using Error::Error;
};
/// Whether a number of errno is of that kind: too many open files, memory short, interrupted, a file server that is away.
inline bool is_temporary(int error) {
  for (const int one : {EMFILE, ENFILE, ENOMEM, EINTR, EAGAIN, ESTALE, ENOTCONN, ETIMEDOUT, EHOSTDOWN, ENODEV})
    if (error == one) return true;
  return false;
}

/// One piece of a message: text, a character, a number, true or false, anything with `.str()` (shapes), or an enumeration
/// with `name_of` (dtypes). A view: it lives as long as the expression in which it is passed. Pieces are a type of their
/// own, not template parameters, so that the hundreds of messages do not each cost the compiler a function.
class Part {
 public:
  constexpr Part() : Part(std::string_view()) {}
  constexpr Part(std::string_view text) : kind_(Kind::text), text_(text) {}  // NOLINT: implicit on purpose, so all below
  constexpr Part(const char* text) : Part(std::string_view(text)) {}         // NOLINT
  Part(const std::string& text) : Part(std::string_view(text)) {}            // NOLINT
  constexpr Part(char c) : kind_(Kind::character), character_(c) {}          // NOLINT
  constexpr Part(bool b) : Part(b ? "true" : "false") {}                     // NOLINT
  constexpr Part(std::integral auto i)                                       // NOLINT
      : kind_(std::is_signed_v<decltype(i)> ? Kind::integer : Kind::natural), natural_(static_cast<std::uint64_t>(i)) {}
  constexpr Part(std::floating_point auto f) : kind_(Kind::real), real_(static_cast<double>(f)) {}  // NOLINT
  template <class T>
    requires requires(const T& t) { t.str(); }
  Part(const T& value)  // NOLINT
      : kind_(Kind::object), object_{&value, [](const void* p) -> std::string { return static_cast<const T*>(p)->str(); }} {}
  template <class T>
    requires std::is_enum_v<T>
  Part(const T& value) : Part(std::string_view(name_of(value))) {}  // NOLINT: name_of is found beside the enumeration

  void append_to(std::string& out) const;

 private:
  enum class Kind : unsigned char { text, character, integer, natural, real, object };
  struct Object {
    const void* value;
    std::string (*str)(const void*);
  };
  Kind kind_;
  union {
    std::string_view text_;
    char character_;
    std::uint64_t natural_;  // of an integer: its two's complement
    double real_;
    Object object_;
  };
};

namespace detail {
inline constexpr Part no_part{};  // stands for what is not given
void append_number(std::string& out, double value);  // six significant digits, with a point in every locale
}  // namespace detail

/// Joins up to twenty pieces into one string.
std::string concat(const Part& p1, const Part& p2 = detail::no_part, const Part& p3 = detail::no_part,
                   const Part& p4 = detail::no_part, const Part& p5 = detail::no_part, const Part& p6 = detail::no_part,
                   const Part& p7 = detail::no_part, const Part& p8 = detail::no_part, const Part& p9 = detail::no_part,
                   const Part& p10 = detail::no_part, const Part& p11 = detail::no_part, const Part& p12 = detail::no_part,
                   const Part& p13 = detail::no_part, const Part& p14 = detail::no_part, const Part& p15 = detail::no_part,
                   const Part& p16 = detail::no_part, const Part& p17 = detail::no_part, const Part& p18 = detail::no_part,
                   const Part& p19 = detail::no_part, const Part& p20 = detail::no_part);

/// Throws `Error("[where] pieces...")`. `where` is the public function's name, e.g. "conv2d".
[[noreturn]] void fail(std::string_view where, const Part& p1, const Part& p2 = detail::no_part, const Part& p3 = detail::no_part,
                       const Part& p4 = detail::no_part, const Part& p5 = detail::no_part, const Part& p6 = detail::no_part,
                       const Part& p7 = detail::no_part, const Part& p8 = detail::no_part, const Part& p9 = detail::no_part,
                       const Part& p10 = detail::no_part, const Part& p11 = detail::no_part, const Part& p12 = detail::no_part,
                       const Part& p13 = detail::no_part, const Part& p14 = detail::no_part, const Part& p15 = detail::no_part,
                       const Part& p16 = detail::no_part, const Part& p17 = detail::no_part, const Part& p18 = detail::no_part,
                       const Part& p19 = detail::no_part, const Part& p20 = detail::no_part);

}  // namespace sslcake::inline v0

#ifndef SSLCAKE_COMPILED
#include "error_inl.hpp"
#endif
