// The eight tile registers of Intel's AMX, as the kernels of this folder see them: a policy of static functions. This
// is the one that runs on hardware; tests/kernels has another that computes the same in portable code, so that the one
// kernel text can be checked where there is no AMX.
//
// A tile is up to 16 rows of up to 64 bytes. `multiply<c, a, b>` adds to tile c (16x16 float32) the product of a (16 rows of
// 32 bfloat16) and b (16 rows, each 16 pairs of bfloat16: pair n of row k holds elements 2k and 2k+1 of column n):
//
//   c[m][n] += sum over k of a[m][2k]·b[k][2n] + a[m][2k+1]·b[k][2n+1]
//
// sums rounded to nearest, denormals taken as zero whatever the program's rounding mode is (Intel SDM volume 2, TDPBF16PS).
// Assembly and not the compilers' intrinsics: those of GCC 12 do not say which memory they touch. Inline assembly needs no
// target attribute, and the library no flag: the assemblers behind GCC 12 and Clang 14 know the mnemonics.
#pragma once

#include <cstdint>

#include "../../../core/dtype.hpp"

namespace sslcake::inline v0::kernels::amx {

inline constexpr int tile_side = 16;      // rows of a tile, and float32 or pairs in a row of it
inline constexpr int tile_bytes = 1024;

/// The operand of LDTILECFG: palette 1 has eight tiles.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  /// All eight tiles whole. Edges are filled up with zeros in memory instead: tiles are never configured anew.
  static constexpr TileConfig whole() {
    TileConfig config;
    for (int t = 0; t < 8; ++t) config.row_bytes[t] = 64, config.rows[t] = 16;
    return config;
  }
};
static_assert(sizeof(TileConfig) == 64);

/// Tiles belong to a thread: whoever computes with them configures them first and releases them when done, since
/// a configured but unused tile state makes every switch of threads dearer.
template <class Tiles>
class ConfiguredTiles {
 public:
  ConfiguredTiles() {
    static constexpr TileConfig config = TileConfig::whole();
    Tiles::configure(config);
  }
  ~ConfiguredTiles() { Tiles::release(); }
  ConfiguredTiles(const ConfiguredTiles&) = delete;
  ConfiguredTiles& operator=(const ConfiguredTiles&) = delete;
};

#if SSLCAKE_X86
struct HardwareTiles {
  static void configure(const TileConfig& config) { __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory"); }
  static void release() { __asm__ volatile("tilerelease" ::: "memory"); }

  template <int tile>
  SSLCAKE_ALWAYS_INLINE static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(tile));  // touches no memory; volatile keeps the order
  }
  /// Row r is read from data + r·stride bytes.
  template <int tile>
  SSLCAKE_ALWAYS_INLINE static void load(const void* data, std::int64_t stride) {
    __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(tile), "r"(data), "r"(stride) : "memory");
  }
  template <int tile>
  SSLCAKE_ALWAYS_INLINE static void store(void* data, std::int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(tile), "r"(data), "r"(stride) : "memory");
  }
  template <int c, int a, int b>
  SSLCAKE_ALWAYS_INLINE static void multiply() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
  }

  // Not tiles, but what every CPU with tiles has besides (AVX512-BF16).
  typedef float Sixteen __attribute__((vector_size(64)));
  typedef float Eight __attribute__((vector_size(32), may_alias));
  /// Sixteen sums to nearest, ties to even; denormal results are zero.
  __attribute__((target("avx512f,avx2,fma"))) SSLCAKE_ALWAYS_INLINE static void round(const Sixteen& sums, bfloat16* to) {
    Eight rounded;
    __asm__("vcvtneps2bf16 %1, %0" : "=v"(rounded) : "v"(sums));
    __builtin_memcpy(static_cast<void*>(to), &rounded, sizeof rounded);
  }
  /// The same past the caches; `to` is a multiple of 32 bytes.
  __attribute__((target("avx512f,avx2,fma"))) SSLCAKE_ALWAYS_INLINE static void stream(const Sixteen& sums, bfloat16* to) {
    Eight rounded;
    __asm__("vcvtneps2bf16 %1, %0" : "=v"(rounded) : "v"(sums));
    __asm__ volatile("vmovntps %1, %0" : "=m"(*reinterpret_cast<Eight*>(to)) : "x"(rounded));
  }
};
#endif

}  // namespace sslcake::inline v0::kernels::amx
