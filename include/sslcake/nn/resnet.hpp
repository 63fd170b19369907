// Residual networks (He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015, arXiv 1512.03385).
//
//   basic block   y = relu( x' + bn(conv3x3( relu(bn(conv3x3(x))) )) )                 ResNet-18, -34
//   bottleneck    y = relu( x' + bn(conv1x1( relu(bn(conv3x3( relu(bn(conv1x1(x))) ))) )) )   ResNet-50
//
// x' is x, or bn(conv1x1(x)) where size or channels change. The first block of every stage but the first halves the
// size; in a bottleneck the 3x3 convolution does it ("v1.5", as in torchvision). Names of all tensors are torchvision's:
// conv1, bn1, layer1.0.conv1, layer2.0.downsample.0, ... The classifier `fc` is left out: an encoder ends at the pooling.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "features.hpp"
#include "layers.hpp"

namespace sslcake::inline v0::nn {

/// How the picture enters.
enum class Stem : std::uint8_t {
  imagenet,  // for 96 pixels and more: 7x7 convolution with stride 2, then max pooling with stride 2
  small,     // for 32 to 64 pixels (CIFAR): 3x3 convolution with stride 1, no pooling (SimCLR, arXiv 2002.05709, B.9)
};
constexpr const char* name_of(Stem s) { return s == Stem::imagenet ? "imagenet" : "small"; }

/// Everything that the shape of a residual network depends on.
struct ResNetConfig {
  std::string name = "resnet";
  bool bottleneck = false;           // a stage of width w then has 4w channels
  std::vector<std::int64_t> widths;  // one per stage
  std::vector<std::int64_t> blocks;  // one per stage
  std::int64_t stem_kernel = 7, stem_stride = 2, stem_width = 64;
  bool stem_pool = true;             // 3x3 max pooling with stride 2 behind the stem's convolution
  bool zero_init_residual =
      false;  // the last norm of every block starts at 0, so that blocks start as the identity (arXiv 1706.02677)
};

class ResNet : public Module {
 public:
  /// Errors: no stage, unequal numbers of widths and blocks, anything below 1.
  explicit ResNet(const ResNetConfig& config);

  /// images (N,H,W,3), float32 or bfloat16 -> the result of every stage, and the last one's mean over the picture (N,D), which is
  /// float32 for both. Errors: another rank or number of channels.
  Features forward(const Tensor& images) const;
  std::int64_t dim() const { return stage_dims().back(); }
  std::vector<std::int64_t> stage_dims() const;
  const ResNetConfig& config() const { return config_; }
  /// Folds batch norm into the convolutions, for inference: see ConvNormAct::fold. Acts on this handle alone.
  void fold();

 private:
  class Block : public Module {
   public:
    Block(std::int64_t in, std::int64_t width, std::int64_t stride, const ResNetConfig& config);
    Tensor forward(const Tensor& x) const;
    void fold();

   private:
    std::vector<ConvNormAct> units_;
    std::optional<ConvNormAct> downsample_;
  };

  ResNetConfig config_;
  ConvNormAct stem_;
  std::vector<Module> layers_;               // layer1, ...: own nothing but the blocks' names
  std::vector<std::vector<Block>> blocks_;
};

struct ResNetOptions {
  Stem stem = Stem::imagenet;
  std::int64_t width = 64;          // channels of the stem and of the first stage; the next have twice as many each
  bool zero_init_residual = false;  // torchvision's default too
};

/// 18 layers: 11.2 million parameters at width 64; 1.81 billion multiply-adds at 224 pixels.
ResNet resnet18(const ResNetOptions& options = {});
/// 34 layers: 21.3 million; 3.66 billion.
ResNet resnet34(const ResNetOptions& options = {});
/// 50 layers: 23.5 million; 4.09 billion.
ResNet resnet50(const ResNetOptions& options = {});

}  // namespace sslcake::inline v0::nn

#ifndef SSLCAKE_COMPILED
#include "resnet_inl.hpp"
#endif
