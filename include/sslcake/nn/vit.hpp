// Vision transformers (Dosovitskiy et al., "An image is worth 16x16 words", 2020, arXiv 2010.11929).
//
//   picture -> squares of P x P pixels -> one linear layer makes a token of D numbers of each -> a class token in front,
//   a learnt position added to each -> L blocks -> layer norm -> the class token is the picture's vector
//
//   block   x = x + proj(attention(qkv(norm1(x))))
//           x = x + fc2(gelu(fc1(norm2(x))))
//
// Names of all tensors and initial values are timm's (VisionTransformer with num_classes=0): cls_token, pos_embed,
// patch_embed.proj, blocks.0.norm1, blocks.0.attn.qkv, ..., norm. Its files open here and ours there, with equal features.
#pragma once

#include <string>
#include <vector>

#include "features.hpp"
#include "layers.hpp"

namespace sslcake::inline v0::nn {

/// Everything that the shape of a vision transformer depends on.
struct ViTConfig {
  std::string name = "vit";
  std::int64_t image_size = 224;  // side of the square pictures: there is a position for each of their patches
  std::int64_t patch = 16;        // divides image_size
  std::int64_t width = 384;       // D, a multiple of heads
  std::int64_t depth = 12;        // blocks
  std::int64_t heads = 6;
  std::int64_t mlp_width = 1536;  // of the hidden layer in a block
};

class ViT : public Module {
 public:
  /// Errors: anything below 1, a patch that does not divide the picture, heads that do not divide the width.
  explicit ViT(const ViTConfig& config);

  /// images (N,S,S,3), float32 or bfloat16 (then the products are too; tokens and results stay float32), S = image_size. pooled:
  /// the class token behind the last norm (N,D). stages: the tokens of the patches after each quarter of the blocks
  /// (N,S/P,S/P,D), the last ones behind the norm.
  Features forward(const Tensor& images) const;
  std::int64_t dim() const { return config_.width; }
  std::vector<std::int64_t> stage_dims() const;
  const ViTConfig& config() const { return config_; }

 private:
  class Block : public Module {
   public:
    explicit Block(const ViTConfig& config);
    /// half: the branches compute in bfloat16; x and the result are float32.
    Tensor forward(const Tensor& x, bool half) const;

   private:
    std::int64_t heads_;
    LayerNorm norm1_, norm2_;
    Linear qkv_, proj_, fc1_, fc2_;
  };

  ViTConfig config_;
  Conv2d patches_;
  std::vector<Block> blocks_;
  LayerNorm norm_;
};

struct ViTOptions {
  std::int64_t image_size = 224;
  std::int64_t patch = 16;
};

/// Sizes of tiny and small as in DeiT (arXiv 2012.12877), of base as in the paper's table 1; layer norms have eps 1e-6, as
/// timm's. 12 blocks of width 192, 3 heads: 5.5 million parameters at patch 16; 1.25 billion multiply-adds at 224 pixels.
ViT vit_tiny(const ViTOptions& options = {});
/// 12 blocks of width 384, 6 heads: 21.7 million; 4.60 billion.
ViT vit_small(const ViTOptions& options = {});
/// 12 blocks of width 768, 12 heads: 85.8 million; 17.6 billion.
ViT vit_base(const ViTOptions& options = {});

}  // namespace sslcake::inline v0::nn

#ifndef SSLCAKE_COMPILED
#include "vit_inl.hpp"
#endif
