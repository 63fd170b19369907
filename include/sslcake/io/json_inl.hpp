#pragma once

#include <algorithm>
#include <bit>
#include <charconv>

#include "json.hpp"

namespace sslcake::inline v0::io {
namespace detail {

/// Length of the UTF-8 sequence at `p` (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF), or 0.
inline int utf8_length(const char* p, const char* end) {
  const auto byte = [&](int i) { return static_cast<unsigned char>(p[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const int length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || end - p < length) return 0;
  for (int i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const unsigned second = byte(1);
  const bool wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                     (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return wrong ? 0 : length;
}

}  // namespace detail

SSLCAKE_INLINE bool is_utf8(std::string_view bytes) {
  const char *p = bytes.data(), *end = p + bytes.size();
  while (p != end) {
    const int length = detail::utf8_length(p, end);
    if (length == 0) return false;
    p += length;
  }
  return true;
}

namespace detail {

/// A parser by recursive descent; the depth limit bounds the recursion.
class JsonParser {
 public:
  JsonParser(std::string_view text, const JsonLimits& limits)
      : begin_(text.data()), p_(text.data()), end_(text.data() + text.size()), limits_(limits) {}

  Json document() {
    skip_space();
    Json value = parse_value(0);
    skip_space();
    if (p_ != end_) error("expected the end of the text");
    return value;
  }

 private:
  [[noreturn]] void error(std::string_view what) const {
    std::int64_t line = 1, column = 1;
    for (const char* c = begin_; c < p_; ++c) {
      ++column;
      if (*c == '\n') { ++line; column = 1; }
    }
    fail("json", what, " at line ", line, ", column ", column);
  }

  void skip_space() {
    while (p_ != end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r')) ++p_;
  }
  bool take(char c) {
    if (p_ == end_ || *p_ != c) return false;
    ++p_;
    return true;
  }
  bool take_word(std::string_view word) {
    if (static_cast<std::size_t>(end_ - p_) < word.size() || std::string_view(p_, word.size()) != word) return false;
    p_ += word.size();
    return true;
  }

  Json parse_value(int depth) {
    if (++count_ > limits_.values) error(concat("more than ", limits_.values, " values"));
    if (p_ == end_) error("the text ends where a value is expected");
    switch (*p_) {
      case '{': return parse_object(depth);
      case '[': return parse_array(depth);
      case '"': return Json(parse_string());
      case 't': if (take_word("true")) return Json(true); break;
      case 'f': if (take_word("false")) return Json(false); break;
      case 'n': if (take_word("null")) return Json(); break;
      default: if (*p_ == '-' || (*p_ >= '0' && *p_ <= '9')) return parse_number();
    }
    error("expected a value");
  }

  void enter(int depth) const {
    if (depth >= limits_.depth) error(concat("nested deeper than ", limits_.depth, " levels"));
  }

  Json parse_array(int depth) {
    enter(depth);
    ++p_;
    Json::Array items;
    skip_space();
    if (take(']')) return Json(std::move(items));
    while (true) {
      skip_space();
      items.push_back(parse_value(depth + 1));
      skip_space();
      if (take(']')) return Json(std::move(items));
      if (!take(',')) error("expected ',' or ']'");
    }
  }

  Json parse_object(int depth) {
    enter(depth);
    ++p_;
    Json::Object members;
    skip_space();
    if (take('}')) return Json(std::move(members));
    while (true) {
      skip_space();
      if (p_ == end_ || *p_ != '"') error("expected a key in quotation marks");
      std::string key = parse_string();
      skip_space();
      if (!take(':')) error("expected ':'");
      skip_space();
      members.emplace_back(std::move(key), parse_value(depth + 1));
      skip_space();
      if (take('}')) break;
      if (!take(',')) error("expected ',' or '}'");
    }
    std::vector<std::string_view> keys;
    for (const auto& m : members) keys.push_back(m.first);
    std::sort(keys.begin(), keys.end());
    if (const auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end())
      error(concat("the key \"", twice->substr(0, 80), "\" appears twice in the object that ends"));
    return Json(std::move(members));
  }

  unsigned parse_hex4() {
    unsigned value = 0;
    if (end_ - p_ < 4 || std::from_chars(p_, p_ + 4, value, 16).ptr != p_ + 4) error("expected four hexadecimal digits");
    p_ += 4;
    return value;
  }

  void parse_escape(std::string& out) {
    if (p_ == end_) error("the text ends inside a string");
    switch (*p_++) {
      case '"': out += '"'; return;
      case '\\': out += '\\'; return;
      case '/': out += '/'; return;
      case 'b': out += '\b'; return;
      case 'f': out += '\f'; return;
      case 'n': out += '\n'; return;
      case 'r': out += '\r'; return;
      case 't': out += '\t'; return;
      case 'u': break;
      default: error("unknown escape in a string");
    }
    unsigned code = parse_hex4();
    if (code >= 0xd800 && code < 0xdc00) {  // the first half of a pair (UTF-16)
      if (!take_word("\\u")) error("half of a surrogate pair");
      const unsigned low = parse_hex4();
      if (low < 0xdc00 || low > 0xdfff) error("half of a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
      error("half of a surrogate pair");
    }
    const auto put = [&out](unsigned byte) { out += static_cast<char>(byte); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xc0 | code >> 6), put(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
      put(0xe0 | code >> 12), put(0x80 | (code >> 6 & 0x3f)), put(0x80 | (code & 0x3f));
    } else {
      put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 0x3f)), put(0x80 | (code >> 6 & 0x3f)), put(0x80 | (code & 0x3f));
    }
  }

  std::string parse_string() {
    ++p_;
    std::string out;
    while (true) {
      if (p_ == end_) error("the text ends inside a string");
      if (take('"')) return out;
      if (take('\\')) { parse_escape(out); continue; }
      if (static_cast<unsigned char>(*p_) < 0x20) error("a control character inside a string");
      const int length = utf8_length(p_, end_);
      if (length == 0) error("a string that is not valid UTF-8");
      out.append(p_, static_cast<std::size_t>(length));
      p_ += length;
    }
  }

  Json parse_number() {
    // from_chars is more liberal than JSON (leading zeros, "1."), so the grammar is checked first.
    const char* start = p_;
    bool integer = true;
    const auto digits = [&] {
      const char* first = p_;
      while (p_ != end_ && *p_ >= '0' && *p_ <= '9') ++p_;
      if (p_ == first) error("expected a digit");
    };
    take('-');
    if (!take('0')) digits();
    else if (p_ != end_ && *p_ >= '0' && *p_ <= '9') error("a number with a leading zero");
    if (take('.')) { integer = false; digits(); }
    if (take('e') || take('E')) {
      integer = false;
      if (!take('+')) take('-');
      digits();
    }
    std::int64_t whole = 0;
    if (integer && std::from_chars(start, p_, whole).ec == std::errc{}) return Json(whole);
    double value = 0;
    if (std::from_chars(start, p_, value).ec != std::errc{}) error("a number out of range");
    return Json(value);
  }

  const char* begin_;
  const char* p_;
  const char* end_;
  JsonLimits limits_;
  std::int64_t count_ = 0;
};

inline void dump_string(std::string& out, const std::string& text) {
  out += '"';
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p != end;) {
    const auto byte = static_cast<unsigned char>(*p);
    if (byte == '"' || byte == '\\') { out += '\\'; out += *p++; }
    else if (byte == '\n') { out += "\\n"; ++p; }
    else if (byte == '\t') { out += "\\t"; ++p; }
    else if (byte < 0x20) {
      out += "\\u00";
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
      ++p;
    } else if (const int length = utf8_length(p, end)) {
      out.append(p, static_cast<std::size_t>(length));
      p += length;
    } else {
      out += "\xef\xbf\xbd";
      ++p;
    }
  }
  out += '"';
}

inline void dump_double(std::string& out, double value) {
  // NaN or infinite: all exponent bits are set. (A user's -ffast-math would remove std::isfinite.)
  if ((std::bit_cast<std::uint64_t>(value) >> 52 & 0x7ff) == 0x7ff) { out += "null"; return; }
  char text[40];
  const std::string_view number(text, static_cast<std::size_t>(std::to_chars(text, text + sizeof text, value).ptr - text));
  out += number;
  if (number.find_first_of(".e") == std::string_view::npos) out += ".0";  // stays a real number when read again
}

inline void dump_value(std::string& out, const Json& value, int indent, int level) {
  const auto new_line = [&](int l) {
    if (indent <= 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(indent * l), ' ');
  };
  if (value.is_null()) out += "null";
  else if (value.is_bool()) out += value.as_bool() ? "true" : "false";
  else if (value.is_integer()) out += std::to_string(value.as_int());
  else if (value.is_number()) dump_double(out, value.as_double());
  else if (value.is_string()) dump_string(out, value.as_string());
  else {
    const bool object = value.is_object();
    const std::size_t n = value.size();
    out += object ? '{' : '[';
    for (std::size_t i = 0; i < n; ++i) {
      if (i) out += ',';
      new_line(level + 1);
      if (object) {
        dump_string(out, value.members()[i].first);
        out += indent > 0 ? ": " : ":";
      }
      dump_value(out, object ? value.members()[i].second : value.items()[i], indent, level + 1);
    }
    if (n) new_line(level);
    out += object ? '}' : ']';
  }
}

}  // namespace detail

SSLCAKE_INLINE Json::Json(float value) : value_(static_cast<double>(value)) {
  char text[40];
  double shortest = 0;
  const char* end = std::to_chars(text, text + sizeof text, value).ptr;
  if (std::from_chars(text, end, shortest).ec == std::errc{}) value_ = shortest;
}

SSLCAKE_INLINE Json Json::from_unsigned(std::uint64_t value) {
  if (value >> 63) fail("json", "expected an integer below 2^63, got ", value, "; write it as a string");
  return Json(static_cast<std::int64_t>(value));
}

SSLCAKE_INLINE Json Json::parse(std::string_view text, const JsonLimits& limits) {
  return detail::JsonParser(text, limits).document();
}

SSLCAKE_INLINE std::string Json::dump(int indent) const {
  std::string out;
  detail::dump_value(out, *this, indent, 0);
  return out;
}

SSLCAKE_INLINE const char* Json::kind() const {
  static constexpr const char* names[] = {"null", "true or false", "an integer", "a number", "a string", "an array", "an object"};
  return names[value_.index()];
}

SSLCAKE_INLINE bool Json::as_bool() const {
  if (!is_bool()) fail("json", "expected true or false, got ", kind());
  return std::get<bool>(value_);
}
SSLCAKE_INLINE std::int64_t Json::as_int() const {
  if (!is_integer()) fail("json", "expected an integer, got ", kind());
  return std::get<std::int64_t>(value_);
}
SSLCAKE_INLINE double Json::as_double() const {
  if (!is_number()) fail("json", "expected a number, got ", kind());
  return is_integer() ? static_cast<double>(std::get<std::int64_t>(value_)) : std::get<double>(value_);
}
SSLCAKE_INLINE const std::string& Json::as_string() const {
  if (!is_string()) fail("json", "expected a string, got ", kind());
  return std::get<std::string>(value_);
}
SSLCAKE_INLINE const Json::Array& Json::items() const {
  if (!is_array()) fail("json", "expected an array, got ", kind());
  return std::get<Array>(value_);
}
SSLCAKE_INLINE const Json::Object& Json::members() const {
  if (!is_object()) fail("json", "expected an object, got ", kind());
  return std::get<Object>(value_);
}

SSLCAKE_INLINE const Json* Json::find(std::string_view key) const {
  for (const auto& [name, value] : members())
    if (name == key) return &value;
  return nullptr;
}
SSLCAKE_INLINE const Json& Json::at(std::string_view key) const {
  if (const Json* found = find(key)) return *found;
  fail("json", "the object has no member \"", key, "\"");
}

SSLCAKE_INLINE Json& Json::set(std::string_view key, Json value) {
  if (is_null()) value_ = Object{};
  if (const Json* found = find(key)) *const_cast<Json*>(found) = std::move(value);
  else std::get<Object>(value_).emplace_back(std::string(key), std::move(value));
  return *this;
}
SSLCAKE_INLINE Json& Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  if (!is_array()) fail("json", "expected an array to append to, got ", kind());
  std::get<Array>(value_).push_back(std::move(value));
  return *this;
}
SSLCAKE_INLINE std::size_t Json::size() const { return is_array() ? items().size() : is_object() ? members().size() : 0; }

}  // namespace sslcake::inline v0::io
