#pragma once

#include <algorithm>

#include "../image/crop_resize.hpp"
#include "extractor.hpp"

namespace sslcake::inline v0::nn {
namespace detail {

/// Writes one picture, normalised, into out (H,W,3).
inline void prepare(const image::Image& picture, int height, int width, const EncoderInfo& info, float* out) {
  // The middle square of a picture, shrunk in one go: as resizing the shorter side and then cutting, without the rounding
  // between.
  const int side = std::min(picture.width, picture.height);
  const image::Box box = info.input_size > 0 ? image::Box{(picture.width - side) / 2, (picture.height - side) / 2, side, side}
                                             : image::Box{0, 0, picture.width, picture.height};
  const std::int64_t area = std::int64_t{height} * width;
  const Workspace<float> planes(3 * area);
  image::crop_resize(picture, box, width, height, planes.data());
  for (std::int64_t i = 0; i < area; ++i)
    for (int c = 0; c < 3; ++c) {
      const auto k = static_cast<std::size_t>(c);
      out[3 * i + c] = (planes[c * area + i] - info.mean[k]) / info.deviation[k];
    }
}

}  // namespace detail

SSLCAKE_INLINE Extractor::Extractor(const AnyEncoder& encoder, const EncoderInfo& info) : encoder_(encoder.clone()), info_(info) {
  for (const float d : info.deviation)
    if (!(d > 0)) fail("Extractor", "expected deviations above 0, got ", d);
  if (info.input_size < 0 || info.input_size > 16384)
    fail("Extractor", "expected an input size from 0 to 16384, got ", info.input_size);
  encoder_.eval();
  encoder_.fold();
}

SSLCAKE_INLINE Features Extractor::forward(const Tensor& images) const {
  const NoGrad no_grad;
  return encoder_.forward(images);
}

SSLCAKE_INLINE Tensor Extractor::features(const std::vector<image::Image>& pictures) const {
  if (pictures.empty()) return zeros({0, dim()});
  const int size = info_.input_size, height = size > 0 ? size : pictures[0].height, width = size > 0 ? size : pictures[0].width;
  for (const auto& p : pictures) {
    image::check(p, "features");
    if (size == 0 && (p.height != height || p.width != width))
      fail("features", "expected pictures of one size, got ", width, " x ", height, " and ", p.width, " x ", p.height,
           "; EncoderInfo::input_size makes them equal");
  }
  Tensor images = empty({static_cast<std::int64_t>(pictures.size()), height, width, 3});  // (N,H,W,3)
  float* out = images.mutable_data<float>();
  const std::int64_t area = std::int64_t{height} * width;
  for (std::size_t i = 0; i < pictures.size(); ++i)
    detail::prepare(pictures[i], height, width, info_, out + static_cast<std::int64_t>(i) * area * 3);
  return forward(images.to(device_of(encoder_.parameters()))).pooled;
}

SSLCAKE_INLINE std::vector<float> Extractor::features(const std::uint8_t* rgb, int width, int height) const {
  if (!rgb || width < 1 || height < 1 || width > 65536 || height > 65536)
    fail("features", "expected a picture (height,width,3) of at least 1 x 1 and at most 65536 x 65536, got ", width, " x ",
         height, rgb ? "" : " and a null pointer");
  std::vector<image::Image> one(1);
  one[0].width = width;
  one[0].height = height;
  one[0].pixels.assign(rgb, rgb + std::int64_t{3} * width * height);
  return features(one).to_vector<float>();
}

}  // namespace sslcake::inline v0::nn
