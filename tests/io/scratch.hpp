// Helpers of these tests: a folder that is removed at the end of a test case, and the message of an error.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

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
  std::string operator/(const std::string& name) const { return path + "/" + name; }
  /// How many files there are, so that nothing is left behind unseen.
  int files() const {
    int n = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path)) n += entry.is_regular_file();
    return n;
  }
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
