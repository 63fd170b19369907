// Which file format some bytes are in, by their first bytes; names and extensions of files play no part. Three formats
// are read (decode.hpp); the others are known only so that they can be refused by name.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../core/error.hpp"

namespace sslcake::inline v0::image {

enum class Format : std::uint8_t {
  jpeg, png, bmp,                                                  // read
  gif, webp, tiff, psd, hdr, pnm, pfm, tga, pic, jpeg2000, jpegxl,  // known, not read
  jpegxr, avif, heic, exr, dds, ico, qoi, svg, pdf, html, zip, unknown
};

/// "PNG", "JPEG 2000", ...; "unknown" for `Format::unknown`.
const char* name_of(Format format);

/// The format of `size` bytes. TGA has no mark of its own and is recognised by a header that makes sense as one.
Format detect_format(const std::uint8_t* bytes, std::size_t size);

/// Whether `decode` reads the format.
constexpr bool is_supported(Format format) { return format <= Format::bmp; }

}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "format_inl.hpp"
#endif
