// Reads the chunks of a PNG file (ISO/IEC 15948, W3C PNG third edition) before a decoder sees them: order, lengths,
// checksums, header, and a copy of what matters. stb_image 2.27 checks no checksum, reads palette entries that were
// never sent, and inflates without a bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "limits.hpp"

namespace sslcake::inline v0::image::detail {

struct CheckedPng {
  int width = 0, height = 0;
  int bit_depth = 8;
  int orientation = 1;              // of the eXIf chunk, 1 to 8
  std::size_t raw_bytes = 0;        // what the image data must inflate to
  std::vector<std::uint8_t> clean;  // the same picture in four chunks: IHDR, PLTE with all 256 entries, IDAT, IEND
};

/// CRC-32 of ISO 3309 (polynomial 0xEDB88320), the checksum of PNG's chunks.
std::uint32_t crc32(const std::uint8_t* bytes, std::size_t size);

/// Throws Error("[image::decode] ...") unless the file may be decoded. The size is checked before anything is allocated.
CheckedPng check_png(const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits);

}  // namespace sslcake::inline v0::image::detail

#ifndef SSLCAKE_COMPILED
#include "png_check_inl.hpp"
#endif
