// What the tuned text needs around it: included once, before the first instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "../../../core/storage.hpp"
#include "../../../core/threads.hpp"
#include "../../channel_sums.hpp"
#include "../../conv_shape.hpp"
#include "../correlation.hpp"
#include "../variant.hpp"

// Loops over registers must be unrolled completely, whatever the optimisation level thinks of it.
#if defined(__clang__)
#define SSLCAKE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SSLCAKE_UNROLL _Pragma("GCC unroll 16")
#endif

namespace sslcake::inline v0::kernels::detail {

/// A strided matrix: element (i,j) at data[i·row + j·column].
struct View {
  const float* data;
  std::int64_t row, column;
  const float* at(std::int64_t i, std::int64_t j) const { return data + i * row + j * column; }
};

}  // namespace sslcake::inline v0::kernels::detail
