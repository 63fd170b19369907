#pragma once

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "winograd.hpp"

namespace sslcake::inline v0::kernels {
namespace detail {

inline std::atomic<bool>& winograd_switch() {
  static std::atomic<bool> on = [] {
    const char* wanted = std::getenv("SSLCAKE_WINOGRAD");
    return !(wanted && std::strcmp(wanted, "0") == 0);
  }();
  return on;
}

/// Taps that lie inside the source, summed over the positions of one axis: what the direct kernel multiplies.
inline std::int64_t taps_inside(std::int64_t results, std::int64_t source, std::int64_t pad) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < results; ++i)
    for (std::int64_t u = 0; u < 3; ++u) count += i + u >= pad && i + u - pad < source;
  return count;
}

SSLCAKE_INLINE bool takes_winograd(const ConvShape& s, bool input_grad) {
  if (!winograd()) return false;
  if (s.kh != 3 || s.kw != 3 || s.stride_h != 1 || s.stride_w != 1 || s.dilation_h != 1 || s.dilation_w != 1 || s.groups != 1)
    return false;
  if (s.pad_h != s.pad_w || s.pad_h > 2 || s.oh() < 1 || s.ow() < 1 || s.n < 1 || s.c < 16 || s.o < 16) return false;
  const WinogradMap map(s, input_grad);
  // Multiply-adds per pair of channels, and what each channel's transforms cost beside them (measured).
  const double direct = static_cast<double>(map.images) * static_cast<double>(taps_inside(map.rows, map.height, map.pad)) *
                        static_cast<double>(taps_inside(map.columns, map.width, map.pad));
  const double pairs = static_cast<double>(s.c) * static_cast<double>(s.o), tiles = static_cast<double>(map.tiles());
  const double transformed = tiles * (winograd_points + 960.0 * static_cast<double>(s.c + s.o) / pairs) + 400;
  return transformed < 0.9 * direct;
}

}  // namespace detail

SSLCAKE_INLINE bool winograd() { return detail::winograd_switch().load(std::memory_order_relaxed); }
SSLCAKE_INLINE void set_winograd(bool on) { detail::winograd_switch().store(on, std::memory_order_relaxed); }

}  // namespace sslcake::inline v0::kernels
