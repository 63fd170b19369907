// What the kernels that move words of any size share: the choice of the word and of the index type, and the loop over a grid.
#pragma once

#include <cstdint>

#include "instructions.cuh"

namespace sslcake::inline v0::kernels::cuda {

/// Calls body(Word{}) with the unsigned type of `bytes` bytes.
template <class Body>
void with_word(std::size_t bytes, Body&& body) {
  switch (bytes) {
    case 16: return body(uint4{});
    case 8: return body(uint2{});
    case 4: return body(std::uint32_t{});
    case 2: return body(std::uint16_t{});
    default: return body(std::uint8_t{});
  }
}
/// The largest power of two up to 16 that divides all of them.
template <class... N>
std::size_t widest(N... numbers) {
  const std::uintptr_t bits = (std::uintptr_t{16} | ... | static_cast<std::uintptr_t>(numbers));
  return bits & (~bits + 1);
}
inline std::uintptr_t place(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }
/// Calls body(Index{}) with an unsigned type in which `largest` fits: divisions of 32 bits are several times cheaper.
template <class Body>
void with_index(std::int64_t largest, Body&& body) {
  if (largest < (std::int64_t{1} << 31)) body(std::uint32_t{});
  else body(std::uint64_t{});
}

template <class Word>
__device__ __forceinline__ Word all_ones() { return static_cast<Word>(~Word{}); }
template <> __device__ __forceinline__ uint2 all_ones<uint2>() { return make_uint2(~0u, ~0u); }
template <> __device__ __forceinline__ uint4 all_ones<uint4>() { return make_uint4(~0u, ~0u, ~0u, ~0u); }

__device__ __forceinline__ std::int64_t first_item() { return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ __forceinline__ std::int64_t item_step() { return static_cast<std::int64_t>(gridDim.x) * blockDim.x; }

}  // namespace sslcake::inline v0::kernels::cuda
