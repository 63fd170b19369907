#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "files.hpp"

namespace sslcake::inline v0::io {
namespace detail {

/// The system's reason, with what the user can do about the frequent ones.
inline std::string reason(int code) {
  switch (code) {
    case ENOENT: return "there is no such file or folder";
    case EACCES: case EPERM: return "permission denied; change the permissions there or choose another place";
    case ENOSPC: case EDQUOT: return "the disk is full; free some space or write elsewhere";
    case EFBIG: return "the file would exceed the size limit of the system or of this process (ulimit -f)";
    case EROFS: return "the file system is read-only; choose another place";
    case ENOTDIR: return "a part of the path is a file, not a folder";
    default: return std::strerror(code);
  }
}

inline std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// The file a symbolic link leads to, be it there or not (rename would replace the link itself), or the path as it is.
inline std::string resolve(const std::string& path) {
  std::string file = path, target(4096, '\0');  // PATH_MAX: a link holds no more
  for (int links = 0; links < 40; ++links) {     // as many as Linux follows
    const auto length = ::readlink(file.c_str(), target.data(), target.size());
    if (length < 0) return file;
    const std::string to = target.substr(0, static_cast<std::size_t>(length));
    file = to.starts_with('/') ? to : folder_of(file) + "/" + to;
  }
  fail("write", "cannot write ", path, ": it leads from one symbolic link to the next; remove them");
}

inline void write_all(int descriptor, const void* data, std::uint64_t bytes, const std::string& path) {
  const auto* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const auto part = ::write(descriptor, p, bytes < (1u << 30) ? bytes : (1u << 30));
    if (part < 0 && errno == EINTR) continue;
    if (part <= 0) fail("write", "cannot write ", path, ": ", reason(part < 0 ? errno : ENOSPC));
    p += part;
    bytes -= static_cast<std::uint64_t>(part);
  }
}

/// Makes a rename last: the folder's entry must reach the disk too. Some file systems refuse to flush folders; the
/// file itself is complete by then, so that is no error.
inline void flush_folder(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace detail

SSLCAKE_INLINE InputFile::InputFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not hang.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0 && is_temporary(errno))
    throw TemporaryError(concat("[read] cannot open ", path, ": ", detail::reason(errno)));
  if (descriptor_ < 0) fail("read", "cannot open ", path, ": ", detail::reason(errno));
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor_);
    fail("read", "expected a file, but ", path, " is ", S_ISDIR(info.st_mode) ? "a folder" : "something else (pipe or device)");
  }
  size_ = static_cast<std::uint64_t>(info.st_size);
}

SSLCAKE_INLINE InputFile::~InputFile() { ::close(descriptor_); }

SSLCAKE_INLINE void InputFile::read(std::uint64_t offset, void* to, std::uint64_t bytes) const {
  auto* p = static_cast<char*>(to);
  while (bytes > 0) {
    const auto part = ::pread(descriptor_, p, bytes < (1u << 30) ? bytes : (1u << 30), static_cast<off_t>(offset));
    if (part < 0 && errno == EINTR) continue;
    if (part < 0 && is_temporary(errno)) throw TemporaryError(concat("[read] cannot read ", path_, ": ", detail::reason(errno)));
    if (part < 0) fail("read", "cannot read ", path_, ": ", detail::reason(errno));
    if (part == 0)
      fail("read", path_, " ends at byte ", offset, ", ", bytes,
           " bytes too early; it may be incomplete or was changed meanwhile");
    p += part;
    offset += static_cast<std::uint64_t>(part);
    bytes -= static_cast<std::uint64_t>(part);
  }
}

SSLCAKE_INLINE OutputFile::OutputFile(const std::string& path) : path_(detail::resolve(path)), aside_(path_ + ".tmp") {
  struct stat info {};
  const bool replaces = ::stat(path_.c_str(), &info) == 0;
  if (replaces && !S_ISREG(info.st_mode))
    fail("write", "cannot write ", path, ": it is ", S_ISDIR(info.st_mode) ? "a folder" : "not an ordinary file");
  // The lock keeps a second writer out. Between open and lock another writer may have renamed or removed the file we
  // hold; then its name leads elsewhere by now, and we try again.
  for (int attempt = 0; attempt < 100; ++attempt) {
    descriptor_ = ::open(aside_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0) {
      const int code = errno;
      fail("write", "cannot write ", path, ": ",
           code == ENOENT ? "the folder " + detail::folder_of(path_) + " does not exist" : detail::reason(code));
    }
    struct stat mine {}, named {};
    const bool locked = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;  // no locks here: go on without
    if (locked && ::fstat(descriptor_, &mine) == 0 && ::stat(aside_.c_str(), &named) == 0 && mine.st_ino == named.st_ino) {
      if (::ftruncate(descriptor_, 0) == 0) {
        if (replaces) static_cast<void>(::fchmod(descriptor_, 0600) != 0);  // private, until commit()
        return;
      }
      const int code = errno;
      ::close(descriptor_);
      fail("write", "cannot write ", aside_, ": ", detail::reason(code));
    }
    ::close(descriptor_);
    if (!locked) break;
  }
  descriptor_ = -1;
  fail("write", "cannot write ", path, ": another process or thread is writing it at this moment");
}

SSLCAKE_INLINE OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::unlink(aside_.c_str());  // before close, which gives up the lock
  ::close(descriptor_);
}

SSLCAKE_INLINE void OutputFile::write(const void* data, std::uint64_t bytes) {
  if (descriptor_ < 0) fail("write", path_, " was committed already");
  detail::write_all(descriptor_, data, bytes, path_);
}

SSLCAKE_INLINE void OutputFile::commit() {
  if (descriptor_ < 0) fail("write", path_, " was committed already");
  struct stat old {};  // file systems without permissions refuse the next line, and lose nothing
  if (::stat(path_.c_str(), &old) == 0) static_cast<void>(::fchmod(descriptor_, old.st_mode & 0777) != 0);
  if (::fsync(descriptor_) != 0) fail("write", "cannot write ", path_, ": ", detail::reason(errno));
  if (::rename(aside_.c_str(), path_.c_str()) != 0) fail("write", "cannot replace ", path_, ": ", detail::reason(errno));
  ::close(descriptor_);
  descriptor_ = -1;
  detail::flush_folder(detail::folder_of(path_));
}

SSLCAKE_INLINE std::string read_file(const std::string& path, std::uint64_t max_bytes) {
  const InputFile file(path);
  if (file.size() > max_bytes) fail("read", path, " has ", file.size(), " bytes, more than the limit of ", max_bytes);
  std::string bytes(static_cast<std::size_t>(file.size()), '\0');
  file.read(0, bytes.data(), bytes.size());
  return bytes;
}

SSLCAKE_INLINE void write_atomically(const std::string& path, std::string_view bytes) {
  OutputFile file(path);
  file.write(bytes);
  file.commit();
}

SSLCAKE_INLINE void append_to_file(const std::string& path, std::string_view text) {
  struct Descriptor {
    int value;
    ~Descriptor() { if (value >= 0) ::close(value); }
  } file{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666)};
  if (file.value < 0) fail("write", "cannot append to ", path, ": ", detail::reason(errno));
  detail::write_all(file.value, text.data(), text.size(), path);
}

SSLCAKE_INLINE void make_folders(const std::string& path) {
  for (std::size_t end = 1; end <= path.size(); ++end) {
    if (end < path.size() && path[end] != '/') continue;
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0777) == 0) {
      detail::flush_folder(detail::folder_of(part));
      continue;
    }
    const int code = errno;
    struct stat info {};
    const bool there = ::stat(part.c_str(), &info) == 0;
    if (there && S_ISDIR(info.st_mode)) continue;
    fail("make_folders", "cannot make the folder ", part, ": ", there ? "a file has that name" : detail::reason(code));
  }
}

SSLCAKE_INLINE bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}
SSLCAKE_INLINE bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}
SSLCAKE_INLINE bool is_folder(const std::string& path) {
  struct stat info {};
  return ::stat(path.empty() ? "." : path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}
SSLCAKE_INLINE std::int64_t file_size(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) ? static_cast<std::int64_t>(info.st_size) : -1;
}

SSLCAKE_INLINE std::string real_path(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (!real) return "";
  std::string out(real);
  std::free(real);  // NOLINT: realpath allocates with malloc
  return out;
}

SSLCAKE_INLINE void cut_file(const std::string& path, std::int64_t bytes) {
  if (::truncate(path.c_str(), static_cast<off_t>(bytes)) != 0)
    fail("write", "cannot cut ", path, " to ", bytes, " bytes: ", detail::reason(errno));
}

SSLCAKE_INLINE void remove_file(const std::string& path) { ::unlink(path.c_str()); }

SSLCAKE_INLINE FolderListing list_folder(const std::string& path) {
  FolderListing out;
  DIR* folder = ::opendir(path.empty() ? "." : path.c_str());
  if (!folder) {
    out.error = detail::reason(errno);
    return out;
  }
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(folder);
    if (!entry) break;
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    // Some file systems leave the type open, and links are to be followed: only then the file itself is asked.
    const bool asked = entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK;
    const bool is_dir = asked ? is_folder(path.empty() ? name : path + "/" + name) : entry->d_type == DT_DIR;
    (is_dir ? out.folders : out.files).push_back(std::move(name));
  }
  if (errno != 0) out.error = detail::reason(errno);
  ::closedir(folder);
  std::sort(out.files.begin(), out.files.end());
  std::sort(out.folders.begin(), out.folders.end());
  return out;
}

}  // namespace sslcake::inline v0::io
