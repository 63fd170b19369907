#pragma once

#include "reference.hpp"
#include "variant.hpp"

namespace sslcake::inline v0::kernels {

SSLCAKE_INLINE const Variant& variant() {
  static constexpr Variant reference_table{.gemm = reference::gemm,
                                           .conv2d_forward = reference::conv2d_forward,
                                           .conv2d_forward_sums = reference::conv2d_forward_sums,
                                           .conv2d_input_grad = reference::conv2d_input_grad,
                                           .conv2d_weight_grad = reference::conv2d_weight_grad,
                                           .widen = reference::widen,
                                           .narrow = reference::narrow};
  switch (isa()) {
    case Isa::reference: return reference_table;
#if SSLCAKE_X86
    case Isa::avx2: return avx2::variant();
    case Isa::avx512: {
      static const Variant without_pairs = [] {
        Variant table = avx512::variant();
        table.conv2d_pairs = nullptr;
        table.conv2d_weight_grad_pairs = nullptr;
        return table;
      }();
      return without_pairs;
    }
    case Isa::avx512bf16: return avx512::variant();
    case Isa::amx: return amx::variant();
#endif
    default: return portable::variant();
  }
}

}  // namespace sslcake::inline v0::kernels

#ifndef SSLCAKE_COMPILED
#include "amx_inl.hpp"
#include "avx2_inl.hpp"
#include "avx512_inl.hpp"
#include "portable_inl.hpp"
#endif
