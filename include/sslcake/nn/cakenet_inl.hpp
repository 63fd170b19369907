#pragma once

#include "cakenet.hpp"

namespace sslcake::inline v0::nn {

SSLCAKE_INLINE ResNet cakenet(const CakenetOptions& options) {
  if (options.width < 1 || options.width > 4096) fail("cakenet", "expected a width from 1 to 4096, got ", options.width);
  ResNetConfig config;
  const CakenetOptions usual;
  const bool other = !options.widths.empty() || options.blocks != usual.blocks || options.stem_stride != usual.stem_stride ||
                     options.stem_width != usual.stem_width;
  config.name = other ? std::string("cakenet-custom")
                : options.width == usual.width ? std::string("cakenet") : concat("cakenet-w", options.width);
  config.blocks = options.blocks;
  config.widths = options.widths;
  if (config.widths.empty())
    for (std::size_t i = 0; i < config.blocks.size(); ++i) config.widths.push_back(options.width << i);
  config.stem_kernel = 3;
  config.stem_stride = options.stem_stride;
  config.stem_width = options.stem_width > 0 || config.widths.empty() ? options.stem_width : config.widths[0];
  config.stem_pool = options.stem == Stem::imagenet;
  return ResNet(config);
}

}  // namespace sslcake::inline v0::nn
