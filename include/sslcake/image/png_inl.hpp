#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "png.hpp"
#include "stb.hpp"

namespace sslcake::inline v0::image {
namespace detail {

[[noreturn]] inline void fail_to_write(const std::string& path, int error) {
  const char* why = error == ENOENT                        ? "its folder does not exist; create it first"
                    : error == EACCES || error == EPERM    ? "no permission to write there; change that or choose another place"
                    : error == ENOTDIR                     ? "a part of the path is a file, not a folder"
                    : error == EROFS                       ? "the file system is read-only; choose another place"
                    : error == ENOSPC || error == EDQUOT   ? "the disk is full; free some space or write elsewhere"
                                                           : std::strerror(error);
  fail("image::save_png", "cannot write ", path, ": ", why);
}

/// Where a symbolic link leads to, be it there or not: rename would replace the link itself. io/ does the same for its files.
inline std::string link_target(const std::string& path) {
  std::string file = path, target(4096, '\0');  // PATH_MAX: a link holds no more
  for (int links = 0; links < 40; ++links) {     // as many as Linux follows
    const auto length = ::readlink(file.c_str(), target.data(), target.size());
    if (length < 0) return file;
    const std::string to = target.substr(0, static_cast<std::size_t>(length));
    file = to.starts_with('/') ? to : file.substr(0, file.rfind('/') + 1) + to;
  }
  fail_to_write(path, ELOOP);
}

/// Opens a new file beside `file`, of a name that no other thread or process takes, and puts the name in `aside`; -1: see errno.
inline int open_aside(const std::string& file, std::string& aside) {
  static std::atomic<unsigned> count{0};
  for (;;) {
    aside = concat(file, '.', ::getpid(), '.', count.fetch_add(1), ".part");
    const int descriptor = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
}

/// Writes and flushes; 0, or the system's error.
inline int write_all(int descriptor, const std::vector<std::uint8_t>& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const auto part = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (part < 0 && errno == EINTR) continue;
    if (part <= 0) return part < 0 ? errno : ENOSPC;
    done += static_cast<std::size_t>(part);
  }
  return ::fsync(descriptor) == 0 ? 0 : errno;
}

}  // namespace detail

SSLCAKE_INLINE std::vector<std::uint8_t> encode_png(const Image& picture) {
  check(picture, "image::encode_png");
  if (picture.pixels.size() > 0x3FFFFFFF)
    fail("image::encode_png", "expected at most a gigabyte of pixels, got ", picture.width, " x ", picture.height);
  return detail::stb_encode_png(picture);
}

SSLCAKE_INLINE void save_png(const std::string& path, const Image& picture) {
  const auto bytes = encode_png(picture);
  const std::string file = detail::link_target(path);
  struct stat info {};
  const bool replaces = ::stat(file.c_str(), &info) == 0;
  if (replaces && !S_ISREG(info.st_mode))
    fail("image::save_png", "cannot write ", path, ": it is ", S_ISDIR(info.st_mode) ? "a folder" : "no ordinary file");
  // Beside its place first, so that an older picture survives a full disk.
  std::string aside;
  const int descriptor = detail::open_aside(file, aside);
  if (descriptor < 0) detail::fail_to_write(path, errno);
  if (replaces) static_cast<void>(::fchmod(descriptor, info.st_mode & 0777) != 0);  // where there are permissions, they stay
  int error = detail::write_all(descriptor, bytes);
  if (::close(descriptor) != 0 && error == 0) error = errno;
  if (error == 0 && std::rename(aside.c_str(), file.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(aside.c_str());
    detail::fail_to_write(path, error);
  }
}

}  // namespace sslcake::inline v0::image
