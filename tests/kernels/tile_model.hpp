// AMX's tiles in portable code, beside HardwareTiles of kernels/cpu/amx/tiles.hpp: what the kernels are checked with where
// there is no AMX. It follows the operations in Intel's SDM, volume 2 (LDTILECFG, TILELOADD, TILESTORED, TILEZERO,
// TDPBF16PS, TILERELEASE): rows and columns beyond a tile's shape become zero whenever it is written; a product sums the
// even and the odd elements of a row apart, by fused multiply-adds that round to nearest even, with denormals taken as zero
// on the way in and out, and adds both sums to the tile at the end.
//
// What the processor answers with a fault is an exception here: a configuration that is not valid, a tile used before it was
// configured, shapes that do not fit together, one tile in two places of a product. It leaves out start_row (restarting an
// interrupted load) and the instructions for integers.
#pragma once

#include <sslcake/kernels/cpu/amx/tiles.hpp>
#include <sslcake/kernels/cpu/bfloat_vectors.hpp>

#include <cstdint>

namespace test {

struct TileModel {
  using Config = sslcake::kernels::amx::TileConfig;

  static void configure(const Config& config);
  static void release();
  template <int tile>
  static void zero() {
    zero(tile);
  }
  template <int tile>
  static void load(const void* data, std::int64_t stride) {
    load(tile, data, stride);
  }
  template <int tile>
  static void store(void* data, std::int64_t stride) {
    store(tile, data, stride);
  }
  template <int c, int a, int b>
  static void multiply() {
    multiply(c, a, b);
  }

  // Beside the tiles: rounding (denormal results stay what they are), and a store that need not pass the caches here, but
  // has the alignment that VMOVNTPS asks for.
  template <class V>
  SSLCAKE_ALWAYS_INLINE static void round(const V& sums, sslcake::bfloat16* to) {
    sslcake::kernels::store(sums, to);
  }
  template <class V>
  SSLCAKE_ALWAYS_INLINE static void stream(const V& sums, sslcake::bfloat16* to) {
    if (reinterpret_cast<std::uintptr_t>(to) % 32 != 0) misaligned();
    sslcake::kernels::store(sums, to);
  }

  // The same with tiles by number.
  static void zero(int tile);
  static void load(int tile, const void* data, std::int64_t stride);
  static void store(int tile, void* data, std::int64_t stride);
  static void multiply(int c, int a, int b);

  [[noreturn]] static void misaligned();
  static bool configured();          // this thread's tiles
  static std::int64_t multiplies();  // products so far, of all threads
};

}  // namespace test
