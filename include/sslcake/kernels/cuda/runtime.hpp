// What moves numbers between the host and the GPU.
#pragma once

#include <cstddef>

#include "../../core/device.hpp"

namespace sslcake::inline v0::kernels::cuda {

struct Runtime {
  /// Copies host bytes to the GPU. Returns when the host's memory may be used again, not when the bytes are there: they go
  /// through a ring of pinned buffers, behind all work that was asked for before.
  void (*upload)(void* device, const void* host, std::size_t bytes) = nullptr;
  /// Bytes of GPU memory that are free, those that the allocator keeps included.
  std::size_t (*free_bytes)() = nullptr;
};
void install(Runtime& table);               // runtime.cu
const DeviceFunctions& device_functions();  // what tensors need, runtime.cu

}  // namespace sslcake::inline v0::kernels::cuda
