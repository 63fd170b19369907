// The IDX reader: no input may do more harm than an Error. The first byte is the rank that is asked for.
#include <cstdint>
#include <cstdlib>

#include "sslcake/data/idx.hpp"

using namespace sslcake;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    const auto array = data::detail::parse_idx(data + 1, size - 1, data[0] % 5, "fuzz");
    std::int64_t count = 1;
    for (const auto extent : array.extents) count *= extent;
    if (array.values + count != data + size) std::abort();
    unsigned sum = 0;  // every value is there to be read
    for (std::int64_t i = 0; i < count; ++i) sum += array.values[i];
    if (sum > 255u * size) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
