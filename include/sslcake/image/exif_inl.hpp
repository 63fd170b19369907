#pragma once

#include "bytes.hpp"
#include "exif.hpp"

namespace sslcake::inline v0::image {

SSLCAKE_INLINE int exif_orientation(const std::uint8_t* tiff, std::size_t size) {
  detail::Bytes mark(tiff, size);
  const bool little = mark.starts_with("II*\0");
  if (!little && !mark.starts_with("MM\0*")) return 1;
  detail::Bytes in(tiff, size, !little);
  in.skip(4);
  in.seek(in.u32());  // where IFD 0 begins
  const std::uint32_t entries = in.u16();
  for (std::uint32_t i = 0; i < entries && !in.overrun(); ++i) {
    const std::uint32_t tag = in.u16(), type = in.u16(), count = in.u32(), value = in.u16();
    in.skip(2);  // a SHORT fills the first half of the four-byte value field
    if (tag != 0x0112) continue;
    constexpr std::uint32_t short_type = 3;
    return !in.overrun() && type == short_type && count == 1 && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

SSLCAKE_INLINE Image upright(const Image& stored, int orientation) {
  check(stored, "image::upright");
  if (orientation < 1 || orientation > 8) fail("image::upright", "expected an orientation from 1 to 8, got ", orientation);
  if (orientation == 1) return stored;
  const bool transposed = orientation >= 5;
  // Where the result's pixel (x,y) lies in the stored rows: first the transposition, then the mirrors.
  const bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image result(transposed ? stored.height : stored.width, transposed ? stored.width : stored.height, stored.channels);
  for (int y = 0; y < result.height; ++y) {
    std::uint8_t* out = result.row(y);
    for (int x = 0; x < result.width; ++x) {
      const int u = transposed ? y : x, v = transposed ? x : y;
      const std::uint8_t* in = stored.at(mirror_x ? stored.width - 1 - u : u, mirror_y ? stored.height - 1 - v : v);
      for (int c = 0; c < stored.channels; ++c) *out++ = in[c];
    }
  }
  return result;
}

}  // namespace sslcake::inline v0::image
