// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A draw is a pure function of (seed, purpose, epoch, sample, view, index), so that no thread
// count, batch order or resume changes it, and nothing but a few integers need be stored in a checkpoint.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "config.hpp"

namespace sslcake::inline v0 {

/// What a random number is for; keeps streams apart that otherwise share their coordinates.
enum class Purpose : std::uint32_t { init = 1, shuffle, augment, dropout, dataset, evaluate, task, test };

/// The process-wide seed (default 0) used where none is given.
std::uint64_t global_seed();
/// Sets it. Also restarts the numbering of initialised parameters and of dropout calls.
void seed(std::uint64_t value);
/// Numbers the consumers of one purpose (the k-th initialised parameter, the k-th dropout call since `seed`).
std::uint64_t next_stream(Purpose purpose);
/// The number that the next `next_stream` will return: what a checkpoint keeps and puts back.
std::uint64_t stream_position(Purpose purpose);
void set_stream_position(Purpose purpose, std::uint64_t position);

namespace detail {

/// Ten rounds of multiply-and-xor on four 32-bit words under a 64-bit key.
inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key0, static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key1, static_cast<std::uint32_t>(p0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

}  // namespace detail

/// A stream of draws at fixed coordinates. Cheap to make: one per sample and view.
class Random {
 public:
  Random(std::uint64_t seed, Purpose purpose, std::uint64_t epoch = 0, std::uint64_t sample = 0, std::uint32_t view = 0) {
    // The key mixes seed, purpose and epoch through Philox itself; sample and view stay in the counter.
    const auto key = detail::philox({static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(epoch >> 32),
                                     static_cast<std::uint32_t>(purpose), view},
                                    static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
    key_ = {key[0], key[1]};
    counter_ = {0, static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(sample >> 32), key[2]};
  }

  std::uint32_t bits() {
    if (used_ == 4) {
      block_ = detail::philox(counter_, key_[0], key_[1]);
      ++counter_[0];
      used_ = 0;
    }
    return block_[static_cast<std::size_t>(used_++)];
  }
  /// Uniform in [0, 1), 24 bits.
  float uniform() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }
  /// Uniform in [low, high).
  float uniform(float low, float high) {
    const float value = low + (high - low) * uniform();
    return value == high ? std::nextafter(high, low) : value;  // the sum may have been rounded up
  }
  /// Uniform in [0, 1), 53 bits.
  double uniform64() {
    const std::uint64_t high = bits(), low = bits();
    return static_cast<double>(((high << 32) | low) >> 11) * 0x1p-53;
  }
  /// Uniform integer in [0, n), without bias (Lemire 2019, arXiv 1805.10941); n must be positive.
  std::uint32_t below(std::uint32_t n) {
    std::uint64_t m = std::uint64_t{bits()} * n;
    if (static_cast<std::uint32_t>(m) < n) {
      const std::uint32_t threshold = (0u - n) % n;
      while (static_cast<std::uint32_t>(m) < threshold) m = std::uint64_t{bits()} * n;
    }
    return static_cast<std::uint32_t>(m >> 32);
  }
  bool chance(float probability) { return uniform() < probability; }
  /// Standard normal (Box and Muller 1958).
  float normal() {
    const float radius = std::sqrt(-2.0f * std::log(1.0f - uniform()));
    return radius * std::cos(2.0f * std::numbers::pi_v<float> * uniform());
  }

 private:
  std::array<std::uint32_t, 2> key_{};
  std::array<std::uint32_t, 4> counter_{}, block_{};
  int used_ = 4;
};

}  // namespace sslcake::inline v0

#ifndef SSLCAKE_COMPILED
#include "random_inl.hpp"
#endif
