// Feeds every file of the given folders to one fuzz target, as libFuzzer would, and counts them: what was once found
// stays fixed, with any compiler. A crash or a sanitizer's report ends the program; an empty folder is a failure too.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int count, char** arguments) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  for (int i = 1; i < count; ++i) {
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(arguments[i], error))
      if (entry.is_regular_file()) files.push_back(entry.path());
    if (error) std::fprintf(stderr, "cannot read %s: %s\n", arguments[i], error.message().c_str());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    std::printf("%s (%zu bytes)\n", file.c_str(), bytes.size());
    std::fflush(stdout);  // the last line names the culprit
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }
  std::printf("%zu files replayed\n", files.size());
  return files.empty() ? 1 : 0;
}
