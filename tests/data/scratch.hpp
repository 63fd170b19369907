// Helpers of these tests: a folder that is removed at the end of a test case, files in it, and the message of an error.
#pragma once

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "sslcake/core/error.hpp"

struct Scratch {
  Scratch() {
    const char* base = std::getenv("TMPDIR");
    path = std::string(base && *base ? base : "/tmp") + "/sslcake-test-XXXXXX";
    if (!mkdtemp(path.data())) throw sslcake::Error("cannot make " + path);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string operator/(const std::string& name) const { return path + "/" + name; }
  std::string folder(const std::string& name) const {
    std::filesystem::create_directories(path + "/" + name);
    return path + "/" + name;
  }
  /// Writes a file; folders on its way are made.
  void write(const std::string& name, const std::vector<std::uint8_t>& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(path + "/" + name).parent_path());
    std::ofstream file(path + "/" + name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) throw sslcake::Error("cannot write " + name);
  }
  void write(const std::string& name, const std::string& text) const {
    write(name, std::vector<std::uint8_t>(text.begin(), text.end()));
  }
  /// Makes a file `bytes` long: zeros that need no room on the disk.
  void extend(const std::string& name, std::uintmax_t bytes) const { std::filesystem::resize_file(path + "/" + name, bytes); }
  std::string path;
};

/// The message of the Error that `body` throws; "" if it throws none.
template <class Body>
std::string message_of(Body&& body) {
  try {
    body();
  } catch (const sslcake::Error& e) {
    return e.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The folder of a real data set; "" where the environment variable SSLCAKE_DATA does not lead to one.
inline std::string real_data(const std::string& name) {
  const char* base = std::getenv("SSLCAKE_DATA");
  if (!base || !*base) return "";
  const auto path = std::string(base) + "/" + name;
  return std::filesystem::is_directory(path) ? path : "";
}
