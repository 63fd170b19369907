// The kernels of AMX compiled once more, for a model of its tiles and for vectors that every CPU has: the text that runs on
// hardware, on every machine.
#include <sslcake/kernels/cpu/row_plan.hpp>
#include <sslcake/kernels/cpu/simd/common.hpp>

#include "bfloat16_cases.hpp"
#include "tile_model.hpp"

#define SSLCAKE_TILES_NAMESPACE amx_on_model
#define SSLCAKE_TILES_POLICY test::TileModel
#define SSLCAKE_TILES_TARGET
#include <sslcake/kernels/cpu/amx/variant.hpp>

namespace test {

const Variant& amx_on_model() {
  static const Variant table = [] {
    Variant own = kernels::portable::variant();
    own.conv2d_pairs = kernels::amx_on_model::conv2d_pairs;
    own.conv2d_weight_grad_pairs = kernels::amx_on_model::conv2d_weight_grad_pairs;
    own.pairs_of_any_channels = true;
    return own;
  }();
  return table;
}

}  // namespace test
