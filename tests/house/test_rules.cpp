// Rules that a compiler does not check: cheap includes, a library that behaves, short files, no machine flags.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "source.hpp"

using namespace house;

namespace {
bool one_of(const std::string& path, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const auto& name) {
    return name.ends_with('/') ? path.starts_with(name) : path == name;
  });
}
}  // namespace

TEST_CASE("the tools of this test") {
  CHECK(lines_of("a\nb\n") == 2);
  CHECK(code_of("a /* exit */ \"exit\" 'x' // exit\nb") == "a            \"    \" ' '        \nb");
  CHECK(code_of("int n = 16'000'000; exit(1);").find("exit") != std::string::npos);
  CHECK(has_word("std::printf(x)", "printf"));
  CHECK(!has_word("std::snprintf(x)", "printf"));
  CHECK(one_of("Eigen/Core", {"Eigen/"}));
  CHECK(!one_of("thread_name", {"thread"}));
}

TEST_CASE("includes that cost much, or that a compiler lacks") {
  // Only where bodies are compiled.
  const std::vector<std::string> heavy = {"iostream",     "fstream", "thread",      "Eigen/",
                                          "unsupported/", "stb/",    "turbojpeg.h", "immintrin.h"};
  // Nowhere: too slow to compile, missing in Clang 14, or not the library's business.
  const std::vector<std::string> never = {"regex",  "filesystem", "chrono",  "nlohmann/", "CLI/",  "source_location", "format",
                                          "ranges", "locale",     "csignal", "signal.h",  "omp.h", "execution",       "cassert"};
  const auto files = sources("include/sslcake", {".hpp"});
  REQUIRE(files.size() > 10);
  for (const auto& file : files) {
    for (const auto& include : includes_of(file.text)) {
      CHECK_MESSAGE(!one_of(include.path, never), file.name, " includes ", include.path);
      if (!file.inl())
        CHECK_MESSAGE(!one_of(include.path, heavy), file.name, " includes ", include.path, ", which only *_inl.hpp may");
    }
  }
}

TEST_CASE("the library does not print, exit, abort, or touch signals and the locale") {
  for (const auto& file : sources("include/sslcake", {".hpp"})) {
    const auto code = code_of(file.text);
    for (const auto* word : {"cout",      "cerr",   "clog",          "printf",     "fprintf",
                             "puts",      "exit",   "_exit",         "quick_exit", "abort",
                             "terminate", "assert", "signal",        "sigaction",  "setlocale",
                             "rand",      "srand",  "random_device", "mt19937",    "default_random_engine"})
      CHECK_MESSAGE(!has_word(code, word), file.name, " uses ", word);
  }
}

TEST_CASE("headers can be included in many units") {
  for (const auto& file : sources("include/sslcake", {".hpp"})) {
    const auto code = code_of(file.text);
    CHECK_MESSAGE(code.find("namespace {") == std::string::npos, file.name, " has an unnamed namespace");
    CHECK_MESSAGE(code.find("\nusing namespace") == std::string::npos, file.name, " opens a namespace for everybody");
    const bool macros_only = file.name.ends_with("core/config.hpp") || file.name.ends_with("sslcake/sslcake.hpp");
    if (file.open_to_all() && !macros_only && !file.inl())
      CHECK_MESSAGE(code.find("sslcake::inline v0") != std::string::npos, file.name, " is not in namespace sslcake::inline v0");
    // A pragma would reach what is included later, and Clang does not know it.
    CHECK_MESSAGE(code.find("#pragma GCC target") == std::string::npos, file.name, " uses #pragma GCC target");
    CHECK_MESSAGE(!has_word(code, "EIGEN_MAKE_ALIGNED_OPERATOR_NEW"), file.name, " has Eigen in its interface");
  }
}

TEST_CASE("files stay short, and finished") {
  int count = 0;
  for (const auto* folder : {"include", "tests", "examples", "bench", "cmake", "scripts", "CMakeLists.txt"}) {
    for (const auto& file : sources(folder, {".hpp", ".cpp", ".cu", ".cuh", ".cmake", ".sh", ".py", ".awk", "CMakeLists.txt"})) {
      ++count;
      CHECK_MESSAGE(lines_of(file.text) <= 400, file.name, " has ", lines_of(file.text), " lines");
      for (const auto* mark : {"TO"
                               "DO",
                               "FIX"
                               "ME",
                               "XX"
                               "X"})
        CHECK_MESSAGE(!has_word(file.text, mark), file.name, " has a ", mark);
    }
  }
  CHECK(count > 30);
}

TEST_CASE("lines end where .clang-format says") {
  constexpr int most = 130;
  for (const auto* folder : {"include", "tests", "examples", "bench"}) {
    for (const auto& file : sources(folder, {".hpp", ".cpp", ".cu", ".cuh"})) {
      int line = 1, letters = 0;
      for (const char c : file.text) {
        if (c == '\n') ++line, letters = 0;
        else if ((c & 0xC0) != 0x80 && ++letters == most + 1)
          CHECK_MESSAGE(false, file.name, ":", line, " is longer than ", most);
      }
    }
  }
}

TEST_CASE("no build file names a machine") {
  const std::vector<std::string> endings = {"CMakeLists.txt", ".cmake", ".in", ".json", "demo", "test", "run", ".sh"};
  int count = 0;
  for (const auto* place : {"CMakeLists.txt", "CMakePresets.json", "cmake", "scripts", ".ci", "tests", "examples", "bench"}) {
    for (const auto& file : sources(place, endings)) {
      if (file.name.starts_with("tests/fixtures/") || file.name.starts_with("tests/consumers/two_units/")) continue;
      ++count;
      for (const auto* flag : {"-march", "-mtune", "-mavx", "-mfma", "-ffast-math", "-Ofast"})
        CHECK_MESSAGE(file.text.find(flag) == std::string::npos, file.name, " has ", flag);
    }
  }
  CHECK(count > 8);
}

TEST_CASE("cases are only where CTest looks for them") {
  // One test of CTest per file tests/ROOM/test_*.cpp: a case elsewhere would never run.
  for (const auto& file : sources("tests", {".cpp"})) {
    const auto base = file.name.substr(file.name.rfind('/') + 1);
    const auto code = code_of(file.text);
    const bool has_cases = has_word(code, "TEST_CASE") || has_word(code, "TEST_CASE_TEMPLATE");
    if (has_cases) CHECK_MESSAGE(base.starts_with("test_"), file.name, " has cases, but is not called test_*.cpp");
  }
}
