// cakenet: a small fast encoder for two CPU cores. A residual network of basic blocks (resnet.hpp) with three stages and
// few layers:
//
//   picture 32x32 -> 3x3 convolution, stride 2 -> 16x16 -> stage 1 -> 16x16 -> stage 2 -> 8x8 -> stage 3 -> 4x4 -> pooled
//
// Why this shape: on a CPU a layer's time is that of its multiply-adds where channels are many, and that of its memory
// traffic where they are few and the picture is large. ResNet-18 at width 16 keeps its first stage at 32x32 pixels with
// 16 channels; halving the size in the stem moves the work to maps of a quarter of the area with several times the
// channels, where products run near the machine's peak, and fewer, wider layers have fewer passes of batch norm and ReLU.
#pragma once

#include "resnet.hpp"

namespace sslcake::inline v0::nn {

struct CakenetOptions {
  Stem stem = Stem::small;              // imagenet: max pooling behind the first convolution, for 96 pixels and more
  std::int64_t width = 64;              // channels of the first stage; the next have twice as many each
  std::int64_t stem_stride = 2;
  std::vector<std::int64_t> widths{};   // of the stages, instead of width, 2 width, 4 width
  std::vector<std::int64_t> blocks{1, 1, 1};
  std::int64_t stem_width = 0;          // 0: that of the first stage
};

/// Three stages, by default 64, 128 and 256 channels, one block each: 1.2 million parameters, 0.049 billion
/// multiply-adds at 32 pixels.
ResNet cakenet(const CakenetOptions& options = {});

}  // namespace sslcake::inline v0::nn

#ifndef SSLCAKE_COMPILED
#include "cakenet_inl.hpp"
#endif
