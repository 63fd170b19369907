#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

#include <sys/stat.h>

#include "bmp.hpp"
#include "decode.hpp"
#include "exif.hpp"
#include "jpeg_decoder.hpp"
#include "jpeg_check.hpp"
#include "png_check.hpp"
#include "resize.hpp"
#include "stb.hpp"

namespace sslcake::inline v0::image {
namespace detail {

[[noreturn]] inline void refuse_format(const std::uint8_t* bytes, std::size_t size, Format format) {
  if (size == 0) fail("image::decode", "the file is empty (0 bytes). Copy or download it again");
  if (format == Format::unknown)
    fail("image::decode", "expected a JPEG, PNG or BMP, got ", size, " bytes that begin with ", static_cast<int>(bytes[0]), ' ',
         static_cast<int>(size > 1 ? bytes[1] : 0), ' ', static_cast<int>(size > 2 ? bytes[2] : 0),
         " and belong to no format known here. Convert it, or leave it out");
  fail("image::decode", "expected a JPEG, PNG or BMP, got a file in the format ", format,
       ", which is not read here. Convert it, or leave it out");
}

/// The largest of 1, 2, 4 and 8 that leaves the shorter side `side` pixels; 1 for a side of 0.
inline int reduction(int width, int height, int side) {
  const int shorter = width < height ? width : height;
  int denominator = 1;
  while (side > 0 && denominator < 8 && (shorter + 2 * denominator - 1) / (2 * denominator) >= side) denominator *= 2;
  return denominator;
}

inline Image reduced(Image picture, int side) {
  const int denominator = reduction(picture.width, picture.height, side);
  return denominator == 1 ? std::move(picture) : reduce(picture, denominator);
}

inline Image decode_as_stored(const std::uint8_t* bytes, std::size_t size, int side, const DecodeLimits& limits,
                              int& orientation) {
  constexpr std::int64_t most = 0x7FFFFFFF;
  const auto file_limit = limits.max_file_bytes < most ? limits.max_file_bytes : most;
  if (size > static_cast<std::size_t>(file_limit < 0 ? 0 : file_limit))
    fail("image::decode", "the file has ", size, " bytes, the limit is ", file_limit,
         ". Shrink the picture, or raise DecodeLimits::max_file_bytes");
  const Format format = bytes == nullptr ? Format::unknown : detect_format(bytes, bytes == nullptr ? 0 : size);
  if (format == Format::jpeg) {
    const JpegHeader header = check_jpeg(bytes, size, limits);
    orientation = header.orientation;
    return decode_jpeg(bytes, size, header, reduction(header.width, header.height, side), jpeg_decoder());
  }
  if (format == Format::png) {
    const CheckedPng png = check_png(bytes, size, limits);
    orientation = png.orientation;
    // Twice: stb doubles its buffer when a picture's data go on after its last row, as they may.
    const std::size_t bound = 2 * (png.raw_bytes > png.clean.size() ? png.raw_bytes : png.clean.size()) + 65536;
    return reduced(stb_decode(png.clean.data(), png.clean.size(), "PNG", png.bit_depth == 16, bound), side);
  }
  if (format == Format::bmp) return reduced(decode_bmp(bytes, size, limits), side);
  refuse_format(bytes, bytes == nullptr ? 0 : size, format);
}

[[noreturn]] inline void fail_to_read(const std::string& path, int error) {
  if (error == ENOENT) fail("image::load", path, ": no such file");
  if (error == EACCES || error == EPERM) fail("image::load", path, ": no permission to read it");
  const std::string text = concat("[image::load] ", path, ": cannot be read: ", std::generic_category().message(error));
  if (is_temporary(error)) throw TemporaryError(text);
  throw Error(text);
}

inline std::vector<std::uint8_t> read_picture_file(const std::string& path, std::int64_t max_bytes) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) fail_to_read(path, errno);
  if ((info.st_mode & S_IFMT) != S_IFREG) fail("image::load", path, ": not an ordinary file");  // a pipe would wait for ever
  if (info.st_size > max_bytes)
    fail("image::load", path, ": the file has ", info.st_size, " bytes, the limit is ", max_bytes,
         ". Shrink the picture, or raise DecodeLimits::max_file_bytes");
  errno = 0;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) fail_to_read(path, errno);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(info.st_size));
  const std::size_t got = bytes.empty() ? 0 : std::fread(bytes.data(), 1, bytes.size(), file.get());
  if (std::ferror(file.get()) != 0) fail_to_read(path, errno);
  bytes.resize(got);  // shorter if it shrank meanwhile
  return bytes;
}

inline Image decode_to(int side, const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits,
                       Orientation orientation) {
  int stored_orientation = 1;
  Image picture = decode_as_stored(bytes, size, side, limits, stored_orientation);
  return orientation == Orientation::upright && stored_orientation != 1 ? upright(picture, stored_orientation) : picture;
}

inline Image load_to(int side, const std::string& path, const DecodeLimits& limits, Orientation orientation) {
  const auto bytes = read_picture_file(path, limits.max_file_bytes);
  try {
    return decode_to(side, bytes.data(), bytes.size(), limits, orientation);
  } catch (const Error& error) {
    const char* text = std::strchr(error.what(), ']');  // the name of the function that the user did not call
    fail("image::load", path, ": ", text == nullptr ? error.what() : text + 2);
  }
}

inline void check_side(int side, const char* where) {
  if (side < 1) fail(where, "expected a side of at least 1 pixel, got ", side);
}

}  // namespace detail

SSLCAKE_INLINE Image decode(const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits, Orientation orientation) {
  return detail::decode_to(0, bytes, size, limits, orientation);
}

SSLCAKE_INLINE Image decode_at_least(int side, const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits,
                                     Orientation orientation) {
  detail::check_side(side, "image::decode_at_least");
  return detail::decode_to(side, bytes, size, limits, orientation);
}

SSLCAKE_INLINE Image load(const std::string& path, const DecodeLimits& limits, Orientation orientation) {
  return detail::load_to(0, path, limits, orientation);
}

SSLCAKE_INLINE Image load_at_least(int side, const std::string& path, const DecodeLimits& limits, Orientation orientation) {
  detail::check_side(side, "image::load_at_least");
  return detail::load_to(side, path, limits, orientation);
}

}  // namespace sslcake::inline v0::image
