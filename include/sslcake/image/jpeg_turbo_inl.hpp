#pragma once

#include "jpeg_turbo.hpp"

#if defined(SSLCAKE_JPEG_TURBO)

#include <memory>

#include <turbojpeg.h>

namespace sslcake::inline v0::image::detail {

struct DestroyTurbo {
  void operator()(void* decoder) const { tjDestroy(decoder); }
};

SSLCAKE_INLINE bool turbo_decode(const std::uint8_t* bytes, std::size_t size, const JpegHeader& header, int denominator,
                                 Image& picture) {
  if (header.ambiguous) return false;
  const std::unique_ptr<void, DestroyTurbo> decoder(tjInitDecompress());
  if (decoder == nullptr) return false;
  const auto length = static_cast<unsigned long>(size);
  int width = 0, height = 0, sampling = 0, colours = 0;
  if (tjDecompressHeader3(decoder.get(), bytes, length, &width, &height, &sampling, &colours) != 0) return false;
  if ((colours != TJCS_GRAY && colours != TJCS_YCbCr) || width != header.width || height != header.height) return false;
  picture = Image((width + denominator - 1) / denominator, (height + denominator - 1) / denominator);
  return tjDecompress2(decoder.get(), bytes, length, picture.pixels.data(), picture.width, static_cast<int>(picture.row_bytes()),
                       picture.height, TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING) == 0;
}

}  // namespace sslcake::inline v0::image::detail

#endif
