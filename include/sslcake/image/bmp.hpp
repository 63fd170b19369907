// The BMP reader: 1, 4, 8 bits with a palette, 16, 24 and 32 bits with or without bit masks, rows from the bottom or
// from the top, headers from OS/2 1.x to Windows' version 5. Run-length coding is refused by name. Written here because
// stb_image 2.27 reads uninitialised palette entries, negates INT_MIN and shows a cut file as a picture.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image.hpp"
#include "limits.hpp"

namespace sslcake::inline v0::image::detail {

/// RGB; alpha is ignored. Throws Error("[image::decode] ...").
Image decode_bmp(const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits);

}  // namespace sslcake::inline v0::image::detail

#ifndef SSLCAKE_COMPILED
#include "bmp_inl.hpp"
#endif
