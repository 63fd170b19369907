#pragma once

#include <bit>

#include "bmp.hpp"
#include "bytes.hpp"

namespace sslcake::inline v0::image::detail {

struct BmpHeader {
  std::int64_t width = 0, height = 0;
  bool top_down = false;
  std::uint32_t bits = 0;                    // a pixel
  std::uint32_t masks[3] = {0, 0, 0};        // red, green, blue, for 16 and 32 bits
  std::uint8_t palette[256][3] = {};         // red, green, blue; entries that were not sent are black
  std::size_t pixels_at = 0;
};

[[noreturn]] inline void refuse_bmp(std::string_view what) {
  fail("image::decode", "this BMP is damaged or not supported: ", what,
       ". Open and save it again with an image program, or leave it out");
}

inline BmpHeader read_bmp_header(Bytes& in, const DecodeLimits& limits) {
  BmpHeader h;
  in.skip(10);  // "BM", file size (often wrong), reserved
  h.pixels_at = in.u32();
  const std::uint32_t header_bytes = in.u32();
  const bool core = header_bytes == 12;  // OS/2 1.x: 16-bit sizes and a palette without padding
  if (!core && header_bytes != 40 && header_bytes != 52 && header_bytes != 56 && header_bytes != 64 && header_bytes != 108 &&
      header_bytes != 124)
    refuse_bmp(concat("its header has an unknown length of ", header_bytes, " bytes"));
  const auto side = [&] { return core ? static_cast<std::int32_t>(in.u16()) : static_cast<std::int32_t>(in.u32()); };
  h.width = side();
  h.height = side();
  h.top_down = h.height < 0;
  if (h.top_down) h.height = -h.height;
  in.skip(2);  // planes
  h.bits = in.u16();
  std::uint32_t compression = 0, colours = 0;
  if (!core) {
    compression = in.u32();
    in.skip(12);  // image size, resolution
    colours = in.u32();
    in.skip(4);  // important colours
  }
  if (in.overrun()) refuse_bmp("the header is incomplete");
  check_size("BMP", h.width, h.height, limits);
  const bool paletted = h.bits == 1 || h.bits == 4 || h.bits == 8;
  if (!paletted && h.bits != 16 && h.bits != 24 && h.bits != 32) refuse_bmp(concat("it has ", h.bits, " bits a pixel"));
  const bool masked = (compression == 3 || compression == 6) && header_bytes != 64 && (h.bits == 16 || h.bits == 32);
  if (compression == 1 || compression == 2) refuse_bmp("it is run-length coded");
  if (compression != 0 && !masked) refuse_bmp(concat("it has the compression method ", compression));

  if (masked) {
    for (auto& mask : h.masks) mask = in.u32();  // in the header or right behind it: the same place
  } else if (h.bits == 16) {
    h.masks[0] = 0x7C00, h.masks[1] = 0x03E0, h.masks[2] = 0x001F;
  } else if (h.bits == 32) {
    h.masks[0] = 0xFF0000, h.masks[1] = 0x00FF00, h.masks[2] = 0x0000FF;
  }
  if (paletted) {
    in.seek(14 + std::size_t{header_bytes});
    const std::uint32_t most = 1u << h.bits, count = colours == 0 || colours > most ? most : colours;
    for (std::uint32_t i = 0; i < count && in.left() >= (core ? 3u : 4u) && in.position() < h.pixels_at; ++i) {
      for (int c = 2; c >= 0; --c) h.palette[i][c] = static_cast<std::uint8_t>(in.u8());
      if (!core) in.skip(1);
    }
  }
  if (in.overrun()) refuse_bmp("the header is incomplete");
  if (h.pixels_at < 14 + std::size_t{header_bytes}) refuse_bmp("its pixels begin inside the header");
  return h;
}

SSLCAKE_INLINE Image decode_bmp(const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits) {
  Bytes in(bytes, size, false);
  const BmpHeader h = read_bmp_header(in, limits);
  const auto row_bits = static_cast<std::size_t>(h.width) * h.bits;
  const std::size_t stride = (row_bits + 31) / 32 * 4;
  const std::size_t needed =
      stride * static_cast<std::size_t>(h.height - 1) + (row_bits + 7) / 8;  // the last row's padding may be missing
  if (h.pixels_at > size || size - h.pixels_at < needed)
    fail("image::decode", "this BMP is truncated: ", h.width, " x ", h.height, " pixels of ", h.bits, " bits need ",
         h.pixels_at + needed, " bytes, the file has ", size, ". Copy or download it again");

  Image result(static_cast<int>(h.width), static_cast<int>(h.height));
  for (int y = 0; y < result.height; ++y) {
    const std::uint8_t* row = bytes + h.pixels_at + stride * static_cast<std::size_t>(h.top_down ? y : result.height - 1 - y);
    std::uint8_t* out = result.row(y);
    for (int x = 0; x < result.width; ++x, out += 3) {
      if (h.bits <= 8) {
        const std::size_t bit = static_cast<std::size_t>(x) * h.bits;
        const std::uint32_t index = row[bit / 8] >> (8 - h.bits - bit % 8) & ((1u << h.bits) - 1);
        for (int c = 0; c < 3; ++c) out[c] = h.palette[index][c];
      } else if (h.bits == 24) {
        for (int c = 0; c < 3; ++c) out[c] = row[3 * x + 2 - c];
      } else {
        std::uint32_t pixel = 0;
        for (std::uint32_t b = 0; b < h.bits / 8; ++b)
          pixel |= std::uint32_t{row[static_cast<std::size_t>(x) * (h.bits / 8) + b]} << (8 * b);
        for (int c = 0; c < 3; ++c) {
          const int shift = h.masks[c] == 0 ? 0 : std::countr_zero(h.masks[c]);
          const std::uint64_t most = h.masks[c] >> shift, value = (pixel & h.masks[c]) >> shift;
          out[c] = most == 0 ? 0 : static_cast<std::uint8_t>((value * 255 + most / 2) / most);
        }
      }
    }
  }
  return result;
}

}  // namespace sslcake::inline v0::image::detail
