#pragma once

#include <atomic>

#include "random.hpp"

namespace sslcake::inline v0 {
namespace detail {
struct SeedState {
  std::atomic<std::uint64_t> seed{0};
  std::array<std::atomic<std::uint64_t>, 16> streams{};
};
inline SeedState& seed_state() {
  static SeedState state;
  return state;
}
}  // namespace detail

SSLCAKE_INLINE std::uint64_t global_seed() { return detail::seed_state().seed; }

SSLCAKE_INLINE void seed(std::uint64_t value) {
  auto& state = detail::seed_state();
  state.seed = value;
  for (auto& s : state.streams) s = 0;
}

SSLCAKE_INLINE std::uint64_t next_stream(Purpose purpose) {
  return detail::seed_state().streams[static_cast<std::size_t>(purpose)]++;
}

SSLCAKE_INLINE std::uint64_t stream_position(Purpose purpose) {
  return detail::seed_state().streams[static_cast<std::size_t>(purpose)];
}

SSLCAKE_INLINE void set_stream_position(Purpose purpose, std::uint64_t position) {
  detail::seed_state().streams[static_cast<std::size_t>(purpose)] = position;
}

}  // namespace sslcake::inline v0
