// Walking over arrays 16 bytes at a time: loads that widen to float, stores that round, and the loop around them.
#pragma once

#include <cstdint>

#include "instructions.cuh"

namespace sslcake::inline v0::kernels::cuda {

/// How many S lie in 16 bytes.
template <class S>
inline constexpr int lanes_of = static_cast<int>(16 / sizeof(S));

inline bool aligned(const void* p, std::size_t bytes) { return reinterpret_cast<std::uintptr_t>(p) % bytes == 0; }

/// v = `count` elements from p, which is aligned to all of them, or to 16 bytes where they are more.
template <int count>
__device__ __forceinline__ void load(const float* p, float (&v)[count]) {
  if constexpr (count % 4 == 0) {
    for (int i = 0; i < count; i += 4) {
      const float4 w = *reinterpret_cast<const float4*>(p + i);
      v[i] = w.x, v[i + 1] = w.y, v[i + 2] = w.z, v[i + 3] = w.w;
    }
  } else {
    for (int i = 0; i < count; ++i) v[i] = p[i];
  }
}
template <int count>
__device__ __forceinline__ void load(const Bf16* p, float (&v)[count]) {
  if constexpr (count % 8 == 0) {
    for (int i = 0; i < count; i += 8) {
      const uint4 w = *reinterpret_cast<const uint4*>(p + i);
      v[i] = widen_low(w.x), v[i + 1] = widen_high(w.x), v[i + 2] = widen_low(w.y), v[i + 3] = widen_high(w.y);
      v[i + 4] = widen_low(w.z), v[i + 5] = widen_high(w.z), v[i + 6] = widen_low(w.w), v[i + 7] = widen_high(w.w);
    }
  } else if constexpr (count == 4) {
    const uint2 w = *reinterpret_cast<const uint2*>(p);
    v[0] = widen_low(w.x), v[1] = widen_high(w.x), v[2] = widen_low(w.y), v[3] = widen_high(w.y);
  } else {
    for (int i = 0; i < count; ++i) v[i] = widen(p[i]);
  }
}
template <int count>
__device__ __forceinline__ void store(float* p, const float (&v)[count]) {
  if constexpr (count % 4 == 0) {
    for (int i = 0; i < count; i += 4) *reinterpret_cast<float4*>(p + i) = make_float4(v[i], v[i + 1], v[i + 2], v[i + 3]);
  } else {
    for (int i = 0; i < count; ++i) p[i] = v[i];
  }
}
template <int count>
__device__ __forceinline__ void store(Bf16* p, const float (&v)[count]) {
  if constexpr (count % 8 == 0) {
    for (int i = 0; i < count; i += 8)
      *reinterpret_cast<uint4*>(p + i) =
          make_uint4(pack(v[i], v[i + 1]), pack(v[i + 2], v[i + 3]), pack(v[i + 4], v[i + 5]), pack(v[i + 6], v[i + 7]));
  } else if constexpr (count == 4) {
    *reinterpret_cast<uint2*>(p) = make_uint2(pack(v[0], v[1]), pack(v[2], v[3]));
  } else {
    for (int i = 0; i < count; ++i) p[i] = narrow<Bf16>(v[i]);
  }
}

template <int count>
struct Width {
  static constexpr int value = count;
};
/// Calls body(i, Width<lanes>) for the vectors that start at elements i of n, and body(i, Width<1>) for the rest, spread over
/// the threads of the grid.
template <int lanes, class Body>
__device__ __forceinline__ void for_each_vector(std::int64_t n, Body body) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x, vectors = n / lanes;
  for (std::int64_t i = first; i < vectors; i += step) body(i * lanes, Width<lanes>{});
  if constexpr (lanes > 1)
    for (std::int64_t i = vectors * lanes + first; i < n; i += step) body(i, Width<1>{});
}

}  // namespace sslcake::inline v0::kernels::cuda
