// What the tuned text needs around it: included once, before the first instruction set.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../../../core/storage.hpp"
#include "../../../core/threads.hpp"
#include "../../channel_sums.hpp"
#include "../../conv_shape.hpp"
#include "../../winograd.hpp"
#include "../bfloat_vectors.hpp"
#include "../correlation.hpp"
#include "../variant.hpp"

namespace sslcake::inline v0::kernels::detail {

/// A strided matrix: element (i,j) at data[i·row + j·column].
struct View {
  const float* data;
  std::int64_t row, column;
  const float* at(std::int64_t i, std::int64_t j) const { return data + i * row + j * column; }
};

/// to[j·to_row + i] = from[i·from_row + j] for i < rows, j < columns: in 4 x 4 blocks on the 16-byte vectors that every
/// CPU has, and in strips of columns, so that the lines being written stay in the first cache.
inline void transpose(const float* from, std::int64_t from_row, std::int64_t rows, std::int64_t columns, float* to,
                      std::int64_t to_row) {
  typedef float Four __attribute__((vector_size(16)));
  typedef float UnalignedFour __attribute__((vector_size(16), aligned(4), may_alias));
  constexpr std::int64_t strip = 64;
  for (std::int64_t begin = 0; begin < columns; begin += strip) {
    const std::int64_t end = columns - begin < strip ? columns : begin + strip;
    std::int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
      const float* a = from + i * from_row;
      std::int64_t j = begin;
      for (; j + 4 <= end; j += 4) {
        const Four r0 = *reinterpret_cast<const UnalignedFour*>(a + j);
        const Four r1 = *reinterpret_cast<const UnalignedFour*>(a + from_row + j);
        const Four r2 = *reinterpret_cast<const UnalignedFour*>(a + 2 * from_row + j);
        const Four r3 = *reinterpret_cast<const UnalignedFour*>(a + 3 * from_row + j);
        const Four low02 = __builtin_shufflevector(r0, r2, 0, 4, 1, 5), high02 = __builtin_shufflevector(r0, r2, 2, 6, 3, 7);
        const Four low13 = __builtin_shufflevector(r1, r3, 0, 4, 1, 5), high13 = __builtin_shufflevector(r1, r3, 2, 6, 3, 7);
        float* b = to + j * to_row + i;
        *reinterpret_cast<UnalignedFour*>(b) = __builtin_shufflevector(low02, low13, 0, 4, 1, 5);
        *reinterpret_cast<UnalignedFour*>(b + to_row) = __builtin_shufflevector(low02, low13, 2, 6, 3, 7);
        *reinterpret_cast<UnalignedFour*>(b + 2 * to_row) = __builtin_shufflevector(high02, high13, 0, 4, 1, 5);
        *reinterpret_cast<UnalignedFour*>(b + 3 * to_row) = __builtin_shufflevector(high02, high13, 2, 6, 3, 7);
      }
      for (; j < end; ++j)
        for (std::int64_t r = 0; r < 4; ++r) to[j * to_row + i + r] = a[r * from_row + j];
    }
    for (; i < rows; ++i)
      for (std::int64_t j = begin; j < end; ++j) to[j * to_row + i] = from[i * from_row + j];
  }
}

}  // namespace sslcake::inline v0::kernels::detail
