#pragma once

#include "../ops/arithmetic.hpp"
#include "../ops/attention.hpp"
#include "../ops/matmul.hpp"
#include "../ops/pointwise.hpp"
#include "../ops/shape_ops.hpp"
#include "init.hpp"
#include "vit.hpp"

namespace sslcake::inline v0::nn {
namespace detail {

/// A linear layer as timm initialises it: normal with deviation 0.02, bias 0.
inline Linear transformer_linear(std::int64_t in, std::int64_t out) {
  Linear layer(in, out);
  Tensor weight = layer.weight(), bias = layer.bias();
  copy_into(weight, init::normal(weight.shape(), 0.02));
  copy_into(bias, zeros(bias.shape()));
  return layer;
}

/// A module that only gives its children's names a beginning.
struct Prefix : Module {
  template <class M>
  Prefix& add(const std::string& name, const M& child) {
    add_child(name, child);
    return *this;
  }
};

/// (N,H,W,3) -> (N, H/P · W/P, P·P·3): the pixels of each square side by side, in the order of a convolution's weight.
inline Tensor cut_patches(const Tensor& images, std::int64_t patch) {
  const std::int64_t n = images.dim(0), h = images.dim(1) / patch, w = images.dim(2) / patch, c = images.dim(3);
  const Tensor squares = ops::permute(ops::reshape(images, {n * h, patch, w, patch * c}), {0, 2, 1, 3});
  return ops::reshape(squares, {n, h * w, patch * patch * c});
}

}  // namespace detail

SSLCAKE_INLINE ViT::Block::Block(const ViTConfig& c)
    : heads_(c.heads), norm1_(add_child("norm1", LayerNorm(c.width, 1e-6))), norm2_(c.width, 1e-6),
      qkv_(detail::transformer_linear(c.width, 3 * c.width)), proj_(detail::transformer_linear(c.width, c.width)),
      fc1_(detail::transformer_linear(c.width, c.mlp_width)), fc2_(detail::transformer_linear(c.mlp_width, c.width)) {
  add_child<Module>("attn", detail::Prefix{}.add("qkv", qkv_).add("proj", proj_));
  add_child("norm2", norm2_);
  add_child<Module>("mlp", detail::Prefix{}.add("fc1", fc1_).add("fc2", fc2_));
}

SSLCAKE_INLINE Tensor ViT::Block::forward(const Tensor& x, bool half) const {
  const ModuleScope scope(name());
  const Tensor qkv = qkv_.forward(norm1_.forward(x, half));
  detail::count_macs(2 * x.numel() * x.dim(1));  // q kᵀ and the sum of values
  const Tensor seen = x + proj_.forward(ops::attention(qkv, heads_));
  return seen + fc2_.forward(ops::gelu(fc1_.forward(norm2_.forward(seen, half))));
}

SSLCAKE_INLINE ViT::ViT(const ViTConfig& config) : config_(config) {
  const auto& c = config_;
  if (c.image_size < 1 || c.patch < 1 || c.width < 1 || c.depth < 1 || c.heads < 1 || c.mlp_width < 1)
    fail("ViT", "expected sizes of at least 1, got pictures of ", c.image_size, ", patches of ", c.patch, ", width ", c.width,
         ", ", c.depth, " blocks, ", c.heads, " heads, an MLP of ", c.mlp_width);
  if (c.image_size % c.patch != 0)
    fail("ViT", "expected patches that divide pictures of ", c.image_size, " pixels, got ", c.patch);
  if (c.width % c.heads != 0) fail("ViT", "expected heads that divide the width ", c.width, ", got ", c.heads);
  const std::int64_t tokens = 1 + (c.image_size / c.patch) * (c.image_size / c.patch);
  add_parameter("cls_token", init::normal({1, 1, c.width}, 1e-6), Layout::plain, true);  // not decayed, as in timm
  add_parameter("pos_embed", init::normal({1, tokens, c.width}, 0.02), Layout::plain, true);
  patches_ = Conv2d(3, c.width, c.patch, {.stride = c.patch});
  add_child<Module>("patch_embed", detail::Prefix{}.add("proj", patches_));
  detail::Prefix blocks;
  for (std::int64_t i = 0; i < c.depth; ++i) {
    blocks_.push_back(Block(c));
    blocks.add(std::to_string(i), blocks_.back());
  }
  add_child<Module>("blocks", blocks);
  norm_ = add_child("norm", LayerNorm(c.width, 1e-6));
}

SSLCAKE_INLINE Features ViT::forward(const Tensor& images) const {
  const std::int64_t size = config_.image_size, grid = size / config_.patch, width = config_.width;
  if (!images.defined() || images.rank() != 4 || images.dim(3) != 3)
    fail(config_.name, "expected pictures (N,H,W,3), got ", images.defined() ? images.shape().str() : "an undefined tensor");
  if (images.dim(1) != size || images.dim(2) != size)
    fail(config_.name, "this transformer has positions for pictures of ", size, " x ", size, " pixels, got ", images.shape(),
         "; build it with their image_size");
  const bool half = images.dtype() == DType::bfloat16;
  if (!half && images.dtype() != DType::float32)
    fail(config_.name, "expected pictures in float32 or bfloat16, got ", images.dtype());
  const ModuleScope scope(name());
  const std::int64_t n = images.dim(0), squares = grid * grid;
  Tensor x;
  {
    const ModuleScope inner("patch_embed");
    // Squares that do not overlap: their convolution is one product.
    x = ops::linear(detail::cut_patches(images, config_.patch), ops::reshape(patches_.weight(), {width, -1}), patches_.bias());
    detail::count_macs(n * squares * patches_.weight().numel());
  }
  if (half) x = ops::cast(x, DType::float32);  // the tokens stay float32 from block to block, as sums of many small terms must
  x = ops::concat({zeros({n, 1, width}, DType::float32, x.device()) + tensor(0), x}, 1) + tensor(1);
  Features out;
  const auto blocks = static_cast<std::int64_t>(blocks_.size()), stages = static_cast<std::int64_t>(stage_dims().size());
  const auto squares_of = [&](const Tensor& tokens) {
    return ops::reshape(ops::slice(tokens, 1, 1, squares + 1), {n, grid, grid, width});
  };
  {
    const ModuleScope inner("blocks");
    for (std::int64_t i = 0; i < blocks; ++i) {
      x = blocks_[static_cast<std::size_t>(i)].forward(x, half);
      const auto done = static_cast<std::int64_t>(out.stages.size()) + 1;
      if (done < stages && i + 1 == blocks * done / stages) out.stages.push_back(squares_of(x));
    }
  }
  x = norm_.forward(x);
  out.stages.push_back(squares_of(x));
  out.pooled = ops::reshape(ops::slice(x, 1, 0, 1), {n, width});
  return out;
}

SSLCAKE_INLINE std::vector<std::int64_t> ViT::stage_dims() const {
  return std::vector<std::int64_t>(static_cast<std::size_t>(std::min<std::int64_t>(4, config_.depth)), config_.width);
}

namespace detail {
inline ViT vision_transformer(const char* name, std::int64_t width, std::int64_t heads, const ViTOptions& options) {
  ViTConfig config;
  config.name = options.patch == 16 ? std::string(name) : concat(name, "_patch", options.patch);
  config.image_size = options.image_size;
  config.patch = options.patch;
  config.width = width;
  config.heads = heads;
  config.mlp_width = 4 * width;
  return ViT(config);
}
}  // namespace detail

SSLCAKE_INLINE ViT vit_tiny(const ViTOptions& options) { return detail::vision_transformer("vit_tiny", 192, 3, options); }
SSLCAKE_INLINE ViT vit_small(const ViTOptions& options) { return detail::vision_transformer("vit_small", 384, 6, options); }
SSLCAKE_INLINE ViT vit_base(const ViTOptions& options) { return detail::vision_transformer("vit_base", 768, 12, options); }

}  // namespace sslcake::inline v0::nn
