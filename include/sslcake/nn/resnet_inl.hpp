#pragma once

#include "../ops/pool.hpp"
#include "init.hpp"
#include "resnet.hpp"

namespace sslcake::inline v0::nn {
namespace detail {

/// Registers children under other names than ConvNormAct's own.
struct Numbered : Module {
  template <class M>
  void add(const std::string& name, const M& child) { add_child(name, child); }
};

/// A unit as torchvision initialises it: He's normal with fan_out for the weight, 1 and 0 for the norm.
inline ConvNormAct residual_unit(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                                 ops::Activation activation) {
  ConvNormAct unit(in, out, kernel, {.stride = stride, .padding = kernel / 2}, activation);
  Tensor weight = unit.conv().weight();
  copy_into(weight, init::kaiming_normal_fan_out(weight.shape()));
  return unit;
}

}  // namespace detail

SSLCAKE_INLINE ResNet::Block::Block(std::int64_t in, std::int64_t width, std::int64_t stride, const ResNetConfig& config) {
  using ops::Activation;
  const std::int64_t out = config.bottleneck ? 4 * width : width;
  if (config.bottleneck) {
    units_ = {detail::residual_unit(in, width, 1, 1, Activation::relu),
              detail::residual_unit(width, width, 3, stride, Activation::relu),
              detail::residual_unit(width, out, 1, 1, Activation::relu)};
  } else {
    units_ = {detail::residual_unit(in, width, 3, stride, Activation::relu),
              detail::residual_unit(width, width, 3, 1, Activation::relu)};
  }
  for (std::size_t i = 0; i < units_.size(); ++i) {
    add_child("conv" + std::to_string(i + 1), units_[i].conv());
    add_child("bn" + std::to_string(i + 1), units_[i].norm());
  }
  if (config.zero_init_residual) {
    Tensor gamma = units_.back().norm().norm_state().gamma;
    copy_into(gamma, zeros_like(gamma));
  }
  if (stride != 1 || in != out) {
    downsample_ = detail::residual_unit(in, out, 1, stride, Activation::none);
    detail::Numbered pair;
    pair.add("0", downsample_->conv());
    pair.add("1", downsample_->norm());
    add_child<Module>("downsample", pair);
  }
}

SSLCAKE_INLINE Tensor ResNet::Block::forward(const Tensor& x) const {
  const ModuleScope scope(name());
  Tensor residual = x;
  if (downsample_) {
    const ModuleScope inner("downsample");
    residual = downsample_->forward(x);
  }
  Tensor h = x;
  for (std::size_t i = 0; i + 1 < units_.size(); ++i) h = units_[i].forward(h);
  return units_.back().forward(h, residual);
}

SSLCAKE_INLINE void ResNet::Block::fold() {
  for (auto& unit : units_) unit.fold();
  if (downsample_) downsample_->fold();
}

SSLCAKE_INLINE ResNet::ResNet(const ResNetConfig& config) : config_(config) {
  if (config.widths.empty() || config.widths.size() != config.blocks.size())
    fail("ResNet", "expected as many widths as numbers of blocks, at least one, got ", config.widths.size(), " and ",
         config.blocks.size());
  for (const auto* list : {&config.widths, &config.blocks})
    for (const auto n : *list)
      if (n < 1 || n > 1'000'000) fail("ResNet", "expected widths and numbers of blocks of at least 1, got ", n);
  if (config.stem_kernel < 1 || config.stem_stride < 1 || config.stem_width < 1)
    fail("ResNet", "expected kernel, stride and width of the stem of at least 1, got ", config.stem_kernel, ", ",
         config.stem_stride, ", ", config.stem_width);
  stem_ = detail::residual_unit(3, config.stem_width, config.stem_kernel, config.stem_stride, ops::Activation::relu);
  add_child("conv1", stem_.conv());
  add_child("bn1", stem_.norm());
  std::int64_t channels = config.stem_width;
  for (std::size_t stage = 0; stage < config.widths.size(); ++stage) {
    detail::Numbered layer;
    blocks_.emplace_back();
    for (std::int64_t i = 0; i < config.blocks[stage]; ++i) {
      blocks_.back().push_back(Block(channels, config.widths[stage], stage > 0 && i == 0 ? 2 : 1, config));
      layer.add(std::to_string(i), blocks_.back().back());
      channels = config.bottleneck ? 4 * config.widths[stage] : config.widths[stage];
    }
    layers_.push_back(add_child<Module>("layer" + std::to_string(stage + 1), layer));
  }
}

SSLCAKE_INLINE Features ResNet::forward(const Tensor& images) const {
  if (!images.defined() || images.rank() != 4 || images.dim(3) != 3)
    fail(config_.name, "expected pictures (N,H,W,3), got ", images.defined() ? images.shape().str() : "an undefined tensor");
  const ModuleScope scope(name());
  Features out;
  Tensor h = stem_.forward(images);
  if (config_.stem_pool) h = ops::max_pool2d(h, {.kernel = 3, .stride = 2, .padding = 1});
  for (std::size_t stage = 0; stage < blocks_.size(); ++stage) {
    const ModuleScope inner(layers_[stage].name());
    for (const auto& block : blocks_[stage]) h = block.forward(h);
    out.stages.push_back(h);
  }
  out.pooled = ops::global_avg_pool(h);
  return out;
}

SSLCAKE_INLINE std::vector<std::int64_t> ResNet::stage_dims() const {
  auto dims = config_.widths;
  if (config_.bottleneck)
    for (auto& d : dims) d *= 4;
  return dims;
}

SSLCAKE_INLINE void ResNet::fold() {
  stem_.fold();
  for (auto& stage : blocks_)
    for (auto& block : stage) block.fold();
}

namespace detail {
inline ResNet residual_network(const char* name, std::vector<std::int64_t> blocks, bool bottleneck,
                               const ResNetOptions& options) {
  const std::int64_t w = options.width;
  if (w < 1 || w > 4096) fail(name, "expected a width from 1 to 4096, got ", w);
  ResNetConfig config;
  config.name = w == 64 ? std::string(name) : concat(name, "-w", w);
  config.bottleneck = bottleneck;
  config.widths = {w, 2 * w, 4 * w, 8 * w};
  config.blocks = std::move(blocks);
  config.stem_width = w;
  config.zero_init_residual = options.zero_init_residual;
  if (options.stem == Stem::small) {
    config.stem_kernel = 3;
    config.stem_stride = 1;
    config.stem_pool = false;
  }
  return ResNet(config);
}
}  // namespace detail

SSLCAKE_INLINE ResNet resnet18(const ResNetOptions& options) {
  return detail::residual_network("resnet18", {2, 2, 2, 2}, false, options);
}
SSLCAKE_INLINE ResNet resnet34(const ResNetOptions& options) {
  return detail::residual_network("resnet34", {3, 4, 6, 3}, false, options);
}
SSLCAKE_INLINE ResNet resnet50(const ResNetOptions& options) {
  return detail::residual_network("resnet50", {3, 4, 6, 3}, true, options);
}

}  // namespace sslcake::inline v0::nn
