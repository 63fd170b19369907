// Pictures to PNG files: pictures of results, augmented views, contact sheets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image.hpp"

namespace sslcake::inline v0::image {

/// The picture (grey or RGB) as the bytes of a PNG file. Errors: an empty picture, or one whose bytes do not fit its size.
std::vector<std::uint8_t> encode_png(const Image& picture);

/// Writes a PNG file, or replaces it (a symbolic link is followed): at every moment the whole old file or the whole new one is
/// there. Errors: missing folder, no permission, full disk; nothing is left behind then.
void save_png(const std::string& path, const Image& picture);

}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "png_inl.hpp"
#endif
