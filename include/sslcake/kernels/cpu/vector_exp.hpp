// The exponential function on the compilers' vectors, and what one needs to use it. Everything is always-inline, so that
// it takes the instruction set of its caller.
#pragma once

#include <cstdint>

#include "../../core/config.hpp"

namespace sslcake::inline v0::kernels::vectors {

/// Vectors of `lanes` floats and as many integers; one lane: plain numbers.
template <int lanes>
struct Lanes {
  typedef float Float __attribute__((vector_size(4 * lanes)));
  typedef std::int32_t Int __attribute__((vector_size(4 * lanes)));
};

/// x becomes exp(x) for x <= 1 or so; below -87, where float32 runs out of normal numbers, and for -infinity 0. NaN stays NaN.
/// exp(x) = 2^n · exp(r) with n = round(x / ln 2), |r| <= ln(2)/2, where Taylor's polynomial of degree 7 is exact enough.
template <int lanes>
SSLCAKE_ALWAYS_INLINE void exp_in_place(typename Lanes<lanes>::Float& x) {
  using Float = typename Lanes<lanes>::Float;
  using Int = typename Lanes<lanes>::Int;
  const Float zero{}, floor = zero - 87.0f;
  const Float clamped = x > floor ? x : floor;  // NaN too: no conversion of it to an integer
  const Float scaled = clamped * 1.44269504088896341f;
  const Int n = __builtin_convertvector(scaled < zero ? scaled - 0.5f : scaled + 0.5f, Int);
  const Float whole = __builtin_convertvector(n, Float);
  const Float r = (clamped - whole * 0.693359375f) + whole * 2.12194440e-4f;  // ln 2 in two parts: the first product is exact
  Float p = zero + 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Int bits = (n + 127) << 23;
  Float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  x = x > floor ? p * power : x == x ? zero : x;
}

// By reference: a vector passed by value would have to follow a calling convention that differs by instruction set.
template <class V>
SSLCAKE_ALWAYS_INLINE void load(V& v, const float* from) {
  __builtin_memcpy(&v, from, sizeof(V));
}
template <class V>
SSLCAKE_ALWAYS_INLINE void store(const V& v, float* to) {
  __builtin_memcpy(to, &v, sizeof(V));
}

}  // namespace sslcake::inline v0::kernels::vectors
