// Reads the skeleton of a JPEG file (ITU-T T.81, annex B) before a decoder sees it: the segments and their lengths, the
// frame header, the tables, the scans. What passes is complete, of a kind that stb_image decodes, and small enough;
// what does not is refused with its reason. stb_image 2.27 itself checks too little: it trusts the counts of a Huffman
// table (and writes past it), decodes with tables that were never sent, and calls a cut file a picture.
#pragma once

#include <cstddef>
#include <cstdint>

#include "limits.hpp"

namespace sslcake::inline v0::image::detail {

struct JpegHeader {
  int width = 0, height = 0;
  int orientation = 1;  // EXIF, 1 to 8
  // Decoders read it each in its own way: its colours' names contradict its notes, or a progressive picture lacks details.
  bool ambiguous = false;
};

/// Throws Error("[image::decode] ...") unless the file may be decoded. Allocates nothing.
JpegHeader check_jpeg(const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits);

}  // namespace sslcake::inline v0::image::detail

#ifndef SSLCAKE_COMPILED
#include "jpeg_check_inl.hpp"
#endif
