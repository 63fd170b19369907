// The door to this library's private copy of stb_image and stb_image_write (Sean Barrett and others, public domain).
// Only stb_inl.hpp includes them; only files that jpeg_check and png_check have passed go in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "image.hpp"

namespace sslcake::inline v0::image::detail {

/// A checked JPEG or PNG as RGB. `sixteen_bit`: a PNG of 16 bits, rounded to 8 (v/257). Inflating may use `inflate_limit`
/// bytes at most. Throws Error("[image::decode] ...") with stb's reason.
Image stb_decode(const std::uint8_t* bytes, std::size_t size, const char* format, bool sixteen_bit, std::size_t inflate_limit);

/// The picture as a PNG file.
std::vector<std::uint8_t> stb_encode_png(const Image& picture);

}  // namespace sslcake::inline v0::image::detail

#ifndef SSLCAKE_COMPILED
#include "stb_inl.hpp"
#endif
