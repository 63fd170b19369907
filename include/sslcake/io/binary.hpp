// What the binary readers share: the source of bytes (a file or memory) and half precision.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>

#include "../core/config.hpp"

namespace sslcake::inline v0::io::detail {

static_assert(std::endian::native == std::endian::little, "safetensors and npy are little-endian, and so must be the machine");

/// Copies `bytes` bytes that start at `offset` of the file.
using ReadFn = std::function<void(std::uint64_t offset, void* to, std::uint64_t bytes)>;

/// IEEE half precision: 1 sign, 5 exponent and 10 mantissa bits.
inline float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16, exponent = bits >> 10 & 31, mantissa = bits & 1023u;
  if (exponent == 0) {  // subnormal: mantissa · 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;  // infinity and NaN stay; else the bias grows by 127 - 15
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

}  // namespace sslcake::inline v0::io::detail
