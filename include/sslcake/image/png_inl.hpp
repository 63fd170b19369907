#pragma once

#include <cerrno>
#include <cstdio>

#include "png.hpp"
#include "stb.hpp"

namespace sslcake::inline v0::image {
namespace detail {

[[noreturn]] inline void fail_to_write(const std::string& path, int error) {
  const char* why = error == ENOENT                        ? "its folder does not exist; create it first"
                    : error == EACCES || error == EPERM    ? "no permission to write there; change that or choose another place"
                    : error == ENOTDIR                     ? "a part of the path is a file, not a folder"
                    : error == EISDIR                      ? "it is a folder"
                    : error == EROFS                       ? "the file system is read-only; choose another place"
                    : error == ENOSPC || error == EDQUOT   ? "the disk is full; free some space or write elsewhere"
                                                           : nullptr;
  if (why != nullptr) fail("image::save_png", "cannot write ", path, ": ", why);
  fail("image::save_png", "cannot write ", path, " (system error ", error, ")");
}

}  // namespace detail

SSLCAKE_INLINE std::vector<std::uint8_t> encode_png(const Image& picture) {
  check(picture, "image::encode_png");
  if (picture.pixels.size() > 0x3FFFFFFF) fail("image::encode_png", "expected at most a gigabyte of pixels, got ", picture.width, " x ", picture.height);
  return detail::stb_encode_png(picture);
}

SSLCAKE_INLINE void save_png(const std::string& path, const Image& picture) {
  const auto bytes = encode_png(picture);
  // Beside its place first, so that an older picture survives a full disk.
  const std::string aside = path + ".part";
  errno = 0;
  std::FILE* file = std::fopen(aside.c_str(), "wb");
  if (file == nullptr) detail::fail_to_write(path, errno);
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  int error = written ? 0 : errno;
  if (std::fclose(file) != 0 && error == 0) error = errno;
  if (error == 0 && std::rename(aside.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0 || !written) {
    std::remove(aside.c_str());
    detail::fail_to_write(path, error);
  }
}

}  // namespace sslcake::inline v0::image
