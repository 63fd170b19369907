// Parameter: a tensor with the name and the facts that optimisers and files need. It stands below nn/ and optim/,
// which do not know each other.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "../core/tensor.hpp"

namespace sslcake::inline v0 {

/// How the axes of a tensor are to be permuted for files that other libraries read (theirs is NCHW). Each parameter
/// carries it; it is never guessed from the rank.
enum class Layout : std::uint8_t {
  plain,           // as it is
  conv,            // ours (O,H,W,I), theirs (O,I,H,W)
  conv_transpose,  // ours (I,H,W,O), theirs (I,O,H,W)
};

struct Parameter {
  std::string name;                // dotted path, torchvision's names: "layer1.0.conv1.weight"
  Tensor tensor;                   // a handle: changing its numbers changes the module's
  Layout layout = Layout::plain;
  bool norm_or_bias = false;       // excluded from weight decay and LARS scaling where the paper says so
  bool buffer = false;             // state without gradient: running statistics, counters
};

using Parameters = std::vector<Parameter>;

/// Each tensor once, under its first name: shared layers and tied weights have several.
inline Parameters each_once(const Parameters& parameters) {
  Parameters out;
  std::set<const void*> seen;
  for (const auto& p : parameters)
    if (p.tensor.numel() == 0 || seen.insert(p.tensor.address()).second) out.push_back(p);
  return out;
}

/// Where the first of them lies; the CPU where there is none.
inline Device device_of(const Parameters& parameters) { return parameters.empty() ? Device::cpu : parameters[0].tensor.device(); }
/// Moves the numbers of all: a module's state(), say. All handles on them go along, those of optimisers too.
inline void move_to(const Parameters& parameters, Device device) {
  for (auto p : parameters) p.tensor.move_to(device);
}

/// Forgets the gradients of all parameters.
inline void clear_grads(const Parameters& parameters) {
  for (auto p : parameters) p.tensor.clear_grad();
}

}  // namespace sslcake::inline v0
