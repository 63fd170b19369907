// Files: reading with limits, and writing such that a crash, a full disk or a missing permission never destroys what
// was there before.
//
// A file is written aside, in the same folder and under the name `path.tmp`, then flushed (fsync), renamed over the old
// one, and the folder is flushed too: rename is atomic (POSIX), so at every moment the name leads either to the whole
// old file or to the whole new one. On an error the file aside is removed; one left by a killed process is
// overwritten by the next attempt.
//
// The system's own calls, not <filesystem>: that header is dear to compile (bench/compile_time.sh).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../core/error.hpp"

namespace sslcake::inline v0::io {

/// An ordinary file opened for reading. Folders, pipes and devices are refused: their size means nothing.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  /// Reads exactly `bytes` bytes that start at `offset`; fails where the file is shorter.
  void read(std::uint64_t offset, void* to, std::uint64_t bytes) const;

 private:
  std::string path_;
  std::uint64_t size_ = 0;
  int descriptor_ = -1;
};

/// A file that replaces `path` when `commit()` is called, and not before. Without a commit nothing remains of it.
/// Two writers of one path at a time: the second is refused. A symbolic link is followed, also where it leads to no file yet; a
/// folder or device is refused. A file that is replaced hands on its permissions.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, std::uint64_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  std::string path_, aside_;
  int descriptor_ = -1;
};

/// The whole file. Larger than `max_bytes` (default 4 GiB) is an error before anything is allocated.
std::string read_file(const std::string& path, std::uint64_t max_bytes = std::uint64_t{1} << 32);
/// Replaces the file by `bytes`: all or nothing.
void write_atomically(const std::string& path, std::string_view bytes);
/// Adds `text` at the end of the file, which is made if missing (logs; one call is one write).
void append_to_file(const std::string& path, std::string_view text);
/// Makes the folder and those above it; no error if it is there already.
void make_folders(const std::string& path);
/// True for anything that has this name: file, folder or other. Links are followed, here and below.
bool exists(const std::string& path);
bool is_file(const std::string& path);    // an ordinary one
bool is_folder(const std::string& path);  // an empty path is the current folder
/// Bytes of an ordinary file; -1 where it cannot be told.
std::int64_t file_size(const std::string& path);
/// The path without links and dots that names the same; empty where there is no such file.
std::string real_path(const std::string& path);
/// Shortens the file to its first `bytes` bytes.
void cut_file(const std::string& path, std::int64_t bytes);
/// Removes a file; no error if that cannot be done.
void remove_file(const std::string& path);

/// What stands in a folder, sorted by name.
struct FolderListing {
  std::vector<std::string> files, folders;  // names only; whatever is no folder is a file
  std::string error;                        // why it could not be listed, or empty
};
FolderListing list_folder(const std::string& path);

}  // namespace sslcake::inline v0::io

#ifndef SSLCAKE_COMPILED
#include "files_inl.hpp"
#endif
