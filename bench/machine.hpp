// What a machine can do at best, to hold measurements against: the peak of its multiply-adds and the speed of copying
// memory; and how these programs take times.
#pragma once

#include <sslcake/core/config.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/kernels/cpu/amx/tiles.hpp>
#include <sslcake/kernels/cpu/isa.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

namespace bench {

inline double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return (all[all.size() / 2] + all[(all.size() - 1) / 2]) / 2;
}

/// Times of `work`, one number for each number of threads.
struct Times {
  std::vector<double> median, fastest;
  double ratio() const { return median.front() / median.back(); }
};
/// Times `work` on each of these numbers of threads, after one run each that does not count. The runs take turns, so that
/// whatever else the machine does meets them alike.
inline Times seconds_on(const std::vector<int>& threads, int repetitions, const std::function<void()>& work) {
  std::vector<std::vector<double>> all(threads.size());
  for (int run = -1; run < repetitions; ++run)
    for (std::size_t k = 0; k < threads.size(); ++k) {
      if (sslcake::threads() != threads[k]) sslcake::set_threads(threads[k]);
      const double time = seconds(work);
      if (run >= 0) all[k].push_back(time);
    }
  Times times;
  for (const auto& some : all) {
    times.median.push_back(median(some));
    times.fastest.push_back(*std::min_element(some.begin(), some.end()));
  }
  return times;
}

// Twelve independent sums hide the latency of the multiply-add on all CPUs of today.
inline constexpr int chains = 12;
inline constexpr std::int64_t rounds = 4'000'000;  // some milliseconds: the best of many is undisturbed

#if SSLCAKE_X86
#define SSLCAKE_PEAK(name, features, instruction, bytes)                                          \
  __attribute__((target(features))) inline void name() {                                          \
    typedef float V __attribute__((vector_size(bytes)));                                          \
    V sum[chains] = {}, a = V{} + 1e-30f;                                                         \
    for (std::int64_t i = 0; i < rounds; ++i) {                                                   \
      SSLCAKE_UNROLL                                                                              \
      for (int k = 0; k < chains; ++k) __asm__ volatile(instruction " %1, %1, %0" : "+v"(sum[k]) : "v"(a)); \
    }                                                                                             \
  }
SSLCAKE_PEAK(fma_256, "avx2,fma", "vfmadd231ps", 32)
SSLCAKE_PEAK(fma_512, "avx512f", "vfmadd231ps", 64)
SSLCAKE_PEAK(pairs_512, "avx512bf16,avx512f", "vdpbf16ps", 64)
#undef SSLCAKE_PEAK

/// Four tiles of sums are enough: a product starts every 16 cycles. (Never run yet: no such CPU was at hand.)
inline void tile_products() {
  using Tiles = sslcake::kernels::amx::HardwareTiles;
  const sslcake::kernels::amx::ConfiguredTiles<Tiles> tiles;
  for (std::int64_t i = 0; i < rounds / 16 * chains / 4; ++i) {
    Tiles::multiply<0, 4, 6>();
    Tiles::multiply<1, 4, 7>();
    Tiles::multiply<2, 5, 6>();
    Tiles::multiply<3, 5, 7>();
  }
}
#endif

/// Floating-point operations per second of the widest multiply-add of float32, or of bfloat16 pairs, on all threads; 0:
/// not known for this CPU.
inline double peak(bool pairs) {
  void (*loop)() = nullptr;
  double per_instruction = 0;
#if SSLCAKE_X86
  using sslcake::kernels::Isa;
  if (pairs && supports(Isa::amx)) loop = tile_products, per_instruction = 2.0 * 16 * 16 * 32 / 16;  // a sixteenth as many
  else if (pairs && supports(Isa::avx512bf16)) loop = pairs_512, per_instruction = 64;
  else if (!pairs && supports(Isa::avx512)) loop = fma_512, per_instruction = 32;
  else if (!pairs && supports(Isa::avx2)) loop = fma_256, per_instruction = 16;
#endif
  if (!loop) return 0;
  const int threads = sslcake::threads();
  double best = 1e30;
  for (int i = 0; i < 12; ++i)
    best = std::min(best, seconds([&] { sslcake::parallel_chunks(threads, [&](std::int64_t) { loop(); }); }));
  return threads * per_instruction * chains * static_cast<double>(rounds) / best;
}

/// Bytes per second on all threads, those read and those written, far beyond the caches.
struct MemorySpeed {
  double copy;      // from one block to another: a line of memory is also fetched before it is written, which is not counted
  double in_place;  // numbers changed where they are: everything that moves is counted
};
inline MemorySpeed memory_speed() {
  constexpr std::int64_t floats = 1 << 24, chunk = 1 << 16;
  static const std::vector<float> from(floats, 1.0f);
  static std::vector<float> to(floats);
  double copy = 1e30, in_place = 1e30;
  const auto each = [](const std::function<void(std::int64_t)>& body) {
    return seconds([&] { sslcake::parallel_chunks(floats / chunk, [&](std::int64_t k) { body(k * chunk); }); });
  };
  for (int i = 0; i < 10; ++i) {
    copy = std::min(copy, each([](std::int64_t at) { std::memcpy(to.data() + at, from.data() + at, chunk * sizeof(float)); }));
    in_place = std::min(in_place, each([](std::int64_t at) {
      typedef float V __attribute__((vector_size(16)));
      for (std::int64_t k = at; k < at + chunk; k += 4) {
        V v;
        std::memcpy(&v, to.data() + k, sizeof v);
        v = v + 1.0f;
        std::memcpy(to.data() + k, &v, sizeof v);
      }
    }));
  }
  const double bytes = 2.0 * sizeof(float) * static_cast<double>(floats);
  return {bytes / copy, bytes / in_place};
}

}  // namespace bench
