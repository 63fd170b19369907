// JSON (RFC 8259): the header of safetensors files, config.json, metrics.jsonl, evaluation.json.
//
// An own small value type: the headers are to stay quick to compile, and what a hostile file may ask for (depth, number of
// values, repeated keys) is decided here. Numbers are read and written without the locale, doubles as the shortest text that
// reads back to the same bits.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "../core/error.hpp"

namespace sslcake::inline v0::io {

/// What a text may ask for before it is refused.
struct JsonLimits {
  int depth = 64;                     // of nested arrays and objects
  std::int64_t values = 16'000'000;   // numbers, strings, arrays, ... in all
};

/// Whether the bytes are valid UTF-8 (RFC 3629): what a JSON string can hold unchanged.
bool is_utf8(std::string_view bytes);

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in the order written

  Json() = default;  // null
  Json(std::nullptr_t) {}                                            // NOLINT: implicit on purpose, all of these
  template <std::same_as<bool> B> Json(B value) : value_(value) {}   // (bool itself only: a pointer is no truth value)
  template <std::integral I>
    requires(!std::same_as<I, bool>)
  Json(I value) {
    if constexpr (std::unsigned_integral<I>) *this = from_unsigned(value);
    else value_ = static_cast<std::int64_t>(value);
  }
  Json(double value) : value_(value) {}
  Json(float value);  // as the double with the shortest text that reads back to it: 0.1f becomes 0.1
  Json(const char* text) : value_(std::string(text)) {}
  Json(std::string text) : value_(std::move(text)) {}
  Json(std::string_view text) : value_(std::string(text)) {}
  Json(Array items) : value_(std::move(items)) {}
  Json(Object members) : value_(std::move(members)) {}
  template <class T> Json(const std::vector<T>& items) : value_(Array(items.begin(), items.end())) {}
  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  /// Reads a text that holds one value and nothing else. Errors say line and column. Repeated keys, invalid UTF-8 and
  /// numbers beyond the range of a double are refused; integers beyond 64 bits become doubles.
  static Json parse(std::string_view text, const JsonLimits& limits = {});
  /// One line, or indented by `indent` spaces per level. NaN and infinity, which JSON does not have, become null;
  /// bytes that are not UTF-8 become U+FFFD.
  std::string dump(int indent = 0) const;

  bool is_null() const { return value_.index() == 0; }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  /// The value as a C++ type; another kind of value is an error that says what it is.
  bool as_bool() const;
  std::int64_t as_int() const;
  double as_double() const;  // integers too
  const std::string& as_string() const;
  const Array& items() const;
  const Object& members() const;

  /// The member of that name, or null (a null pointer) if this object has none.
  const Json* find(std::string_view key) const;
  /// The member of that name, which must be there.
  const Json& at(std::string_view key) const;
  /// Sets a member, keeping its place if it is there already. A null value becomes an object first. Returns *this.
  Json& set(std::string_view key, Json value);
  /// Appends to an array; a null value becomes an array first. Returns *this.
  Json& push_back(Json value);
  std::size_t size() const;  // members or items, otherwise 0

  /// "a string", "an object", ...: for messages.
  const char* kind() const;
  friend bool operator==(const Json&, const Json&) = default;

 private:
  static Json from_unsigned(std::uint64_t value);
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

}  // namespace sslcake::inline v0::io

#ifndef SSLCAKE_COMPILED
#include "json_inl.hpp"
#endif
