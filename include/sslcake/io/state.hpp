// Named tensors and parameters: from one to the other, with every mismatch reported at once, and with the axes of
// weights permuted where a file is meant for other libraries.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../autograd/parameter.hpp"

namespace sslcake::inline v0 {

/// Named tensors in order.
using StateDict = std::vector<std::pair<std::string, Tensor>>;

/// The tensor of that name, or null.
inline const Tensor* find(const StateDict& tensors, std::string_view name) {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return &tensor;
  return nullptr;
}

namespace io {

using sslcake::StateDict;

/// Whose order of axes the tensors of a StateDict have: ours (images N,H,W,C; weights O,H,W,I), or that of PyTorch,
/// timm and ONNX (weights O,I,H,W). Which parameters differ is said by Parameter::layout.
enum class Axes : std::uint8_t { ours, theirs };

/// The parameters' tensors by name. With Axes::ours they share the numbers, otherwise weights are permuted copies.
StateDict to_state_dict(const Parameters& parameters, Axes axes = Axes::ours);

struct CopyOptions {
  Axes axes = Axes::ours;                   // of the source
  std::vector<std::string> ignore{};        // names that are left alone on both sides; "fc." stands for all that begin so
  std::vector<std::string> may_miss{};      // endings of names that the source may lack ("num_batches_tracked")
};

/// Copies the tensors of `from` over the parameters of the same names, types converted. Missing, unexpected and
/// differently shaped tensors are one error, beginning with [where], that lists all of them; then nothing is changed.
void copy_state(const char* where, const Parameters& to, const StateDict& from, const CopyOptions& options = {});

}  // namespace io
}  // namespace sslcake::inline v0

#ifndef SSLCAKE_COMPILED
#include "state_inl.hpp"
#endif
