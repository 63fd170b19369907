// Numbers between memory and vector registers: float and double as they are, bfloat16 widened to float on the way in and
// rounded to nearest, ties to even, on the way out. V is a vector type or a single number of the type that is computed in.
// Always-inline and by reference: a vector that crosses a call would follow a convention that differs by instruction set.
#pragma once

#include <cstdint>
#include <type_traits>

#include "../../core/dtype.hpp"

namespace sslcake::inline v0::kernels {

template <class T, int Bytes>
struct VectorOf {
  typedef T type __attribute__((vector_size(Bytes)));
};

template <class V, class T>
SSLCAKE_ALWAYS_INLINE void load(V& v, const T* from) {
  __builtin_memcpy(&v, from, sizeof(V));
}
template <class V, class T>
SSLCAKE_ALWAYS_INLINE void store(const V& v, T* to) {
  __builtin_memcpy(to, &v, sizeof(V));
}

template <class V>
SSLCAKE_ALWAYS_INLINE void load(V& v, const bfloat16* from) {
  if constexpr (std::is_same_v<V, float>) {
    v = static_cast<float>(*from);
  } else {
    typename VectorOf<std::uint16_t, sizeof(V) / 2>::type upper;
    __builtin_memcpy(&upper, from, sizeof upper);
    typedef typename VectorOf<std::uint32_t, sizeof(V)>::type Bits;
    const Bits bits = __builtin_convertvector(upper, Bits) << 16;
    __builtin_memcpy(&v, &bits, sizeof(V));
  }
}
template <class V>
SSLCAKE_ALWAYS_INLINE void store(const V& v, bfloat16* to) {
  if constexpr (std::is_same_v<V, float>) {
    *to = bfloat16(v);
  } else {
    typedef typename VectorOf<std::uint32_t, sizeof(V)>::type Bits;
    typedef typename VectorOf<std::uint16_t, sizeof(V) / 2>::type Upper;
    Bits bits;
    __builtin_memcpy(&bits, &v, sizeof(V));
    const Bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, quiet = (bits >> 16) | 0x40u;
    const Upper upper = __builtin_convertvector(v == v ? rounded : quiet, Upper);  // a carry could turn NaN into zero
    __builtin_memcpy(static_cast<void*>(to), &upper, sizeof upper);
  }
}

/// The same past the caches, where the processor can: for results that are too many to be found there again. `to` is
/// aligned to the bytes written; end_streaming() before another thread reads them.
template <class V>
SSLCAKE_ALWAYS_INLINE void stream(const V& v, bfloat16* to) {
#if SSLCAKE_X86
  if constexpr (sizeof(V) == 64) {
    bfloat16 rounded[16];
    store(v, rounded);
    typedef long long Word __attribute__((may_alias));
    for (int i = 0; i < 4; ++i) {
      Word four;
      __builtin_memcpy(&four, rounded + 4 * i, sizeof four);
      // Eight bytes at a time: every x86-64 has it, so that no wider instruction set must be named here.
      __asm__ volatile("movnti %1, %0" : "=m"(*reinterpret_cast<Word*>(to + 4 * i)) : "r"(four));
    }
    return;
  }
#endif
  store(v, to);
}
inline void end_streaming() {
#if SSLCAKE_X86
  __asm__ volatile("sfence" ::: "memory");
#endif
}

}  // namespace sslcake::inline v0::kernels
