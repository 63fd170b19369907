// The unit that convolutional networks are made of, as one op:
//
//   y = activation( batch_norm( conv2d(x, weight) ) + residual )
//
// What it saves is memory traffic, which is what everything but the convolutions costs. Counted in reads and writes of
// one activation of the result's size (R, W; z = conv2d(x, weight), g = dy behind the ReLU):
//
//                            composed of ops                          fused
//   forward   convolution    W z                                      W z
//             statistics     R z                                      summed while z is in the cache
//             normalise      R z, W                                   R z, (R residual), W y: with the ReLU
//             add            (R, R residual, W)
//             relu           R, W y
//                            total 6, with residual 9                 total 3, with residual 4
//   backward  relu           R y, R dy, W g
//             sums           R z, R g                                 R z, R dy (, R y, W g over dy)
//             dz             R z, R g, W dz                           R z, R dy, W dz over z
//             convolution    R dz, R dz                               R dz, R dz: dx and dweight
//                            total 10                                 total 7, with residual 9
//   kept for backward        z, y (with residual also the sum)        z (with residual and ReLU also y)
//
// Without a residual the ReLU's mask is computed again from z, with one it is read off y, which the next layer keeps
// as its input anyway. dz takes z's place, so that backward allocates nothing but dx. Nothing else is kept: x belongs to
// whoever made it. In evaluation under NoGrad, batch norm is a scale and a shift that overwrite z: 3 passes, one buffer.
#pragma once

#include "conv.hpp"
#include "norm.hpp"

namespace sslcake::inline v0::ops {

enum class Activation { none, relu, leaky_relu, silu, gelu };
constexpr const char* name_of(Activation a) {
  switch (a) {
    case Activation::none: return "none";
    case Activation::relu: return "relu";
    case Activation::leaky_relu: return "leaky_relu";
    case Activation::silu: return "silu";
    case Activation::gelu: return "gelu";
  }
  return "?";
}
/// The activation alone (leaky_relu with slope 0.01).
Tensor activate(const Tensor& x, Activation activation);

/// x (N,H,W,C), weight (O,KH,KW,C/groups), the tensors of `norm` (O), residual (N,OH,OW,O) or undefined -> (N,OH,OW,O).
/// In training updates the running statistics of `norm` (shared handles). Activations other than none and ReLU are an
/// op of their own behind the fused one.
/// Errors: those of conv2d and batch_norm, and a residual of another shape or type than the result.
Tensor conv_norm_act(const Tensor& x, const Tensor& weight, const NormState& norm, Activation activation = Activation::none,
                     const Tensor& residual = {}, const ConvOptions& options = {});

/// Whether conv_norm_act is fused: true unless the environment variable SSLCAKE_FUSE is 0. For comparisons and tests.
bool fuse();
void set_fuse(bool on);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "conv_norm_act_inl.hpp"
#endif
