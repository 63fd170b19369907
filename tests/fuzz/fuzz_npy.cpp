// The npy reader: no input may do more harm than an Error.
#include <cstdint>
#include <cstdlib>

#include "sslcake/io/npy.hpp"

using namespace sslcake;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Tensor t = io::parse_npy({reinterpret_cast<const char*>(data), size});
    if (t.to_vector<double>().size() != static_cast<std::size_t>(t.numel())) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
