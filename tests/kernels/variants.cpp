#include "variants.hpp"

#include <sslcake/kernels/cpu/simd/common.hpp>

#if SSLCAKE_X86
#define SSLCAKE_SIMD_NAMESPACE wide_on_avx2
#define SSLCAKE_SIMD_TARGET __attribute__((target("avx2,fma")))
#define SSLCAKE_SIMD_LANES 16
#define SSLCAKE_SIMD_ROWS 8
#define SSLCAKE_SIMD_PAIRS SSLCAKE_SIMD_TARGET
#define SSLCAKE_SIMD_PAIRS_ASM 0
#include <sslcake/kernels/cpu/simd/variant.hpp>
#endif

namespace test {

std::vector<NamedVariant> variants() {
  namespace kernels = sslcake::kernels;
  static constexpr Variant reference{.gemm = kernels::reference::gemm,
                                     .conv2d_forward = kernels::reference::conv2d_forward,
                                     .conv2d_forward_sums = kernels::reference::conv2d_forward_sums,
                                     .conv2d_input_grad = kernels::reference::conv2d_input_grad,
                                     .conv2d_weight_grad = kernels::reference::conv2d_weight_grad,
                                     .widen = kernels::reference::widen,
                                     .narrow = kernels::reference::narrow};
  std::vector<NamedVariant> all{{"reference", &reference}, {"portable", &kernels::portable::variant()}};
#if SSLCAKE_X86
  if (supports(kernels::Isa::avx2)) {
    all.push_back({"avx2", &kernels::avx2::variant()});
    all.push_back({"avx512 text on avx2", &kernels::wide_on_avx2::variant()});
  }
  if (supports(kernels::Isa::avx512)) all.push_back({"avx512", &kernels::avx512::variant()});
#endif
  return all;
}

}  // namespace test
