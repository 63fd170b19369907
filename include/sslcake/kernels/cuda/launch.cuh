// How every kernel is started: on the one compute stream, with a check, and with scratch memory from the caching allocator.
// Memory is stream-ordered: what is freed is handed out again at once, because whoever gets it is behind in the same stream.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

#include "../../core/config.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// Fails naming `what` unless all is well.
void check(cudaError_t error, const char* what);
cudaStream_t stream();
/// Multiprocessors of the GPU: how many blocks a kernel that walks over its work itself is started with.
int multiprocessors();
/// Bytes of dynamic shared memory that a block may ask for: 227 KiB on an H100, 163 on an A100, 99 on GPUs for desktops.
std::size_t shared_limit();

void* allocate(std::size_t bytes);  // aligned to 512 bytes; an Error says what was asked and what is free
void deallocate(void* data, std::size_t bytes) noexcept;
/// Copies host bytes to the GPU, through a pinned buffer; the host's memory may be used again at once.
void upload(void* device, const void* host, std::size_t bytes);

/// Memory for the kernels that are started while it lives.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(T)), data_(bytes_ ? allocate(bytes_) : nullptr) {}
  ~Scratch() {
    if (data_) deallocate(data_, bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return static_cast<T*>(data_); }

 private:
  std::size_t bytes_;
  void* data_;
};

/// Starts kernel(arguments...) with `shared` bytes of dynamic shared memory. `op` is named where it fails.
template <class... P, class... A>
void launch(const char* op, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared, A&&... arguments) {
  // A block may have 48 KB without asking, the kernel's static arrays included.
  if (shared > (24u << 10))
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)), op);
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream();
  check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...), op);
}

inline std::int64_t blocks_for(std::int64_t items, std::int64_t per_block) { return (items + per_block - 1) / per_block; }
/// A grid for loops that stride by the whole grid: enough blocks to fill the GPU, no more than there is work for.
inline unsigned striding_blocks(std::int64_t items, std::int64_t per_block, int per_multiprocessor = 8) {
  const std::int64_t wanted = blocks_for(items, per_block),
                     most = static_cast<std::int64_t>(multiprocessors()) * per_multiprocessor;
  return static_cast<unsigned>(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

}  // namespace sslcake::inline v0::kernels::cuda
