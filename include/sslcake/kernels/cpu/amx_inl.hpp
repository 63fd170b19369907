// The kernels for AMX: convolutions of bfloat16 pictures on tiles, and AVX-512 for everything else. Winograd's transform of
// bfloat16 pictures is left out: on tiles the direct product is far cheaper than a product of float32 vectors at a quarter of
// the arithmetic. Checked through a portable model of the tile instructions and on an emulated
// CPU (docs/roadmap.md); its speed has not been measured.
#pragma once

#include "amx/tiles.hpp"
#include "row_plan.hpp"
#include "simd/common.hpp"

#if SSLCAKE_X86
#define SSLCAKE_TILES_NAMESPACE amx
#define SSLCAKE_TILES_POLICY HardwareTiles
#define SSLCAKE_TILES_TARGET __attribute__((target("avx512f,avx2,fma")))
#include "amx/variant.hpp"

namespace sslcake::inline v0::kernels::amx {

SSLCAKE_INLINE const Variant& variant() {
  static const Variant table = [] {
    Variant own = avx512::variant();
    own.conv2d_winograd_bfloat16 = nullptr;
    own.conv2d_winograd_weight_grad_bfloat16 = nullptr;
    own.conv2d_pairs = conv2d_pairs;
    own.conv2d_weight_grad_pairs = conv2d_weight_grad_pairs;
    own.pairs_of_any_channels = true;
    return own;
  }();
  return table;
}

}  // namespace sslcake::inline v0::kernels::amx
#endif
