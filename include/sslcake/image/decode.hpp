// Picture files to pixels: JPEG (baseline and progressive; grey, RGB, Adobe CMYK), PNG (every kind) and BMP. Always RGB,
// 8 bits: grey is tripled, palettes are looked up, 16 bits are rounded (v/257), alpha is ignored, an animated PNG gives
// its still picture. Cameras' EXIF orientation is undone.
//
// Files are not trusted. A file that is cut, lies about itself or is damaged so far as its checksums and structure can
// tell is refused with a message, never decoded halfway; other formats are refused by name. (A JPEG has no checksum: where
// its coded data stop early and a marker of its end follows, the rest of the picture is what the decoder fills in.)
#pragma once

#include <string>
#include <vector>

#include "format.hpp"
#include "image.hpp"
#include "limits.hpp"

namespace sslcake::inline v0::image {

enum class Orientation : std::uint8_t {
  upright,   // as EXIF says that the picture is to be seen
  as_stored  // the file's rows as they are
};

/// The picture in `size` bytes of a file, (H,W,3). Errors: see above; `limits` are checked before memory is allocated.
Image decode(const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits = {},
             Orientation orientation = Orientation::upright);
inline Image decode(const std::vector<std::uint8_t>& bytes, const DecodeLimits& limits = {},
                    Orientation orientation = Orientation::upright) {
  return decode(bytes.data(), bytes.size(), limits, orientation);
}

/// As decode, for those who make the picture smaller anyway: at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size (rounded
/// up) whose shorter side is at least `side`. libjpeg-turbo does not compute what is left out, and filters as its DCT does;
/// otherwise the whole picture is decoded and reduced by means of blocks. Errors: those of decode; a side below 1.
Image decode_at_least(int side, const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits = {},
                      Orientation orientation = Orientation::upright);

/// Reads and decodes a file. Messages name it. Errors: those of `decode`; a file that is missing, not readable, not an
/// ordinary file, or larger than the limit; TemporaryError.
Image load(const std::string& path, const DecodeLimits& limits = {}, Orientation orientation = Orientation::upright);
/// The same with decode_at_least.
Image load_at_least(int side, const std::string& path, const DecodeLimits& limits = {},
                    Orientation orientation = Orientation::upright);

}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "decode_inl.hpp"
#endif
