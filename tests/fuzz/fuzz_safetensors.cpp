// The safetensors reader and the JSON reader under it: no input may do more harm than an Error.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sslcake/io/json.hpp"
#include "sslcake/io/safetensors.hpp"

using namespace sslcake;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& [name, tensor] : io::parse_safetensors(bytes).tensors)
      if (tensor.to_vector<double>().size() != static_cast<std::size_t>(tensor.numel())) std::abort();
  } catch (const Error&) {
  }
  if (size < 8) return 0;
  try {  // its header is JSON: parse, write, parse must be a circle
    const auto json = io::Json::parse(bytes.substr(8));
    if (!(io::Json::parse(json.dump()) == json)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
