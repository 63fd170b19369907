// The CIFAR reader: no input may do more harm than an Error. The first byte chooses between CIFAR-10 and CIFAR-100, fine
// and coarse.
#include <cstdint>
#include <cstdlib>

#include "sslcake/data/cifar.hpp"

using namespace sslcake;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool hundred = data[0] & 1, coarse = data[0] & 2;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
  try {
    data::detail::append_cifar(data + 1, size - 1, hundred ? 2 : 1, hundred && !coarse ? 1 : 0,
                               hundred ? (coarse ? 20 : 100) : 10, "fuzz", pixels, labels);
    const std::size_t count = labels.size();
    const data::MemoryDataset set(std::move(pixels), 32, 32, std::move(labels));
    if (static_cast<std::size_t>(set.size()) != count) std::abort();
    for (std::int64_t i = 0; i < set.size(); ++i)
      if (set.label(i) < 0 || set.label(i) > 99 || set.image(i).pixels.size() != 3072) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
