// Numbers on their way from a device to the host, so that a training loop can go on and read its loss a few steps later.
#pragma once

#include <vector>

#include "tensor.hpp"

namespace sslcake::inline v0 {

class Fetch {
 public:
  Fetch() = default;
  /// Begins to fetch tensors of one element each; those on the CPU are read at once. float32, float64, int64 on a device.
  explicit Fetch(const std::vector<Tensor>& numbers);
  Fetch(Fetch&& other) noexcept;
  Fetch& operator=(Fetch&& other) noexcept;
  ~Fetch();

  /// Whether take() would not wait.
  bool ready() const;
  /// The numbers, in order. Waits for those that are not there. Once.
  std::vector<double> take();

 private:
  struct Place {
    int slot;  // among the fetched ones; -1: read at once
    DType type;
    double value;
  };
  std::vector<Place> places_;
  void* ticket_ = nullptr;
  int slots_ = 0;
};

}  // namespace sslcake::inline v0

#ifndef SSLCAKE_COMPILED
#include "fetch_inl.hpp"
#endif
