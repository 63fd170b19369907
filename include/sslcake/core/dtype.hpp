// Element types. A tensor's type is a run-time value; code that must know it dispatches once, outside its loop.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "error.hpp"

namespace sslcake::inline v0 {

/// Brain floating point: the upper half of a float32 (8 exponent bits, 7 mantissa bits).
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  /// Rounds to nearest, ties to even. NaN stays NaN (a plain carry could turn it into infinity).
  explicit bfloat16(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<std::uint16_t>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
  friend bool operator==(bfloat16 a, bfloat16 b) { return static_cast<float>(a) == static_cast<float>(b); }
};

enum class DType : std::uint8_t { float32, float64, bfloat16, int64, uint8, boolean };

enum class Device : std::uint8_t { cpu, cuda };

constexpr std::size_t size_of(DType t) {
  switch (t) {
    case DType::float32: return 4;
    case DType::float64: return 8;
    case DType::bfloat16: return 2;
    case DType::int64: return 8;
    case DType::uint8: return 1;
    case DType::boolean: return 1;
  }
  return 0;
}

constexpr const char* name_of(DType t) {
  switch (t) {
    case DType::float32: return "float32";
    case DType::float64: return "float64";
    case DType::bfloat16: return "bfloat16";
    case DType::int64: return "int64";
    case DType::uint8: return "uint8";
    case DType::boolean: return "bool";
  }
  return "?";
}

constexpr const char* name_of(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }

constexpr bool is_floating(DType t) { return t <= DType::bfloat16; }

namespace detail {
template <class T> struct dtype_of;
template <> struct dtype_of<float> { static constexpr DType value = DType::float32; };
template <> struct dtype_of<double> { static constexpr DType value = DType::float64; };
template <> struct dtype_of<bfloat16> { static constexpr DType value = DType::bfloat16; };
template <> struct dtype_of<std::int64_t> { static constexpr DType value = DType::int64; };
template <> struct dtype_of<std::uint8_t> { static constexpr DType value = DType::uint8; };
template <> struct dtype_of<bool> { static constexpr DType value = DType::boolean; };

/// Numbers that an integer type cannot hold become its nearest bound, and NaN 0 (the bare conversion is undefined, or wraps).
template <class To, class From>
To convert(From v) {
  if constexpr (std::is_same_v<To, From>) return v;
  else if constexpr (std::is_same_v<From, bfloat16>) return convert<To>(static_cast<float>(v));
  else if constexpr (std::is_same_v<To, bfloat16>) return bfloat16(static_cast<float>(v));
  else if constexpr (std::is_same_v<To, bool>) return v != From(0);
  else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    constexpr auto low = std::numeric_limits<To>::min(), high = std::numeric_limits<To>::max();
    return v != v ? To(0) : v <= static_cast<From>(low) ? low : v >= static_cast<From>(high) ? high : static_cast<To>(v);
  } else if constexpr (std::is_integral_v<To> && std::is_same_v<From, std::int64_t>) {
    constexpr auto low = std::numeric_limits<To>::min(), high = std::numeric_limits<To>::max();
    if (v < 0) return v <= static_cast<From>(low) || std::is_unsigned_v<To> ? low : static_cast<To>(v);
    return static_cast<std::uint64_t>(v) < static_cast<std::uint64_t>(high) ? static_cast<To>(v) : high;
  } else return static_cast<To>(v);
}
}  // namespace detail

/// The DType of a C++ element type: `dtype_of<float> == DType::float32`.
template <class T>
inline constexpr DType dtype_of = detail::dtype_of<T>::value;

/// Calls `body(T{})` with T = float or double. Other types are the user's mistake, reported under `where`.
template <class Body>
decltype(auto) dispatch_real(DType t, const char* where, Body&& body) {
  switch (t) {
    case DType::float32: return body(float{});
    case DType::float64: return body(double{});
    default: fail(where, "expected float32 or float64, got ", t);
  }
}

/// Calls `body(T{})` with T = float, double or bfloat16.
template <class Body>
decltype(auto) dispatch_floating(DType t, const char* where, Body&& body) {
  switch (t) {
    case DType::float32: return body(float{});
    case DType::float64: return body(double{});
    case DType::bfloat16: return body(bfloat16{});
    default: fail(where, "expected a floating-point tensor, got ", t);
  }
}

/// Calls `body(T{})` for every element type.
template <class Body>
decltype(auto) dispatch_all(DType t, Body&& body) {
  switch (t) {
    case DType::float64: return body(double{});
    case DType::bfloat16: return body(bfloat16{});
    case DType::int64: return body(std::int64_t{});
    case DType::uint8: return body(std::uint8_t{});
    case DType::boolean: return body(bool{});
    default: return body(float{});
  }
}

/// The type in which sums and functions of T are computed: bfloat16 is widened to float.
template <class T> struct compute_type { using type = T; };
template <> struct compute_type<bfloat16> { using type = float; };
template <class T> using compute_t = typename compute_type<T>::type;

}  // namespace sslcake::inline v0
