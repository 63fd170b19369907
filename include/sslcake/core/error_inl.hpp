#pragma once

#include <charconv>
#include <initializer_list>

#include "error.hpp"

namespace sslcake::inline v0 {
namespace detail {

SSLCAKE_INLINE void append_number(std::string& out, double value) {
  char text[40];
  // Six significant digits are what a message needs; std::to_chars ignores the locale.
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 6).ptr;
  out.append(text, end);
}

}  // namespace detail

SSLCAKE_INLINE void Part::append_to(std::string& out) const {
  switch (kind_) {
    case Kind::text: out.append(text_); break;
    case Kind::character: out.push_back(character_); break;
    case Kind::integer: out.append(std::to_string(static_cast<std::int64_t>(natural_))); break;
    case Kind::natural: out.append(std::to_string(natural_)); break;
    case Kind::real: detail::append_number(out, real_); break;
    case Kind::object: out.append(object_.str(object_.value)); break;
  }
}

namespace detail {
SSLCAKE_INLINE void append_pieces(std::string& out, std::initializer_list<const Part*> pieces) {
  for (const Part* piece : pieces) {
    if (piece == &no_part) return;
    piece->append_to(out);
  }
}
}  // namespace detail

SSLCAKE_INLINE std::string concat(const Part& p1, const Part& p2, const Part& p3, const Part& p4, const Part& p5, const Part& p6,
                                  const Part& p7, const Part& p8, const Part& p9, const Part& p10, const Part& p11,
                                  const Part& p12, const Part& p13, const Part& p14, const Part& p15, const Part& p16,
                                  const Part& p17, const Part& p18, const Part& p19, const Part& p20) {
  std::string out;
  detail::append_pieces(
      out, {&p1, &p2, &p3, &p4, &p5, &p6, &p7, &p8, &p9, &p10, &p11, &p12, &p13, &p14, &p15, &p16, &p17, &p18, &p19, &p20});
  return out;
}

SSLCAKE_INLINE void fail(std::string_view where, const Part& p1, const Part& p2, const Part& p3, const Part& p4, const Part& p5,
                         const Part& p6, const Part& p7, const Part& p8, const Part& p9, const Part& p10, const Part& p11,
                         const Part& p12, const Part& p13, const Part& p14, const Part& p15, const Part& p16, const Part& p17,
                         const Part& p18, const Part& p19, const Part& p20) {
  std::string out = "[";
  out.append(where).append("] ");
  detail::append_pieces(
      out, {&p1, &p2, &p3, &p4, &p5, &p6, &p7, &p8, &p9, &p10, &p11, &p12, &p13, &p14, &p15, &p16, &p17, &p18, &p19, &p20});
  throw Error(out);
}

}  // namespace sslcake::inline v0
