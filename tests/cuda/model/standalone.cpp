// What a test of one group of kernels needs besides them: a stream, memory without a cache, doctest's main.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "../../../include/sslcake/core/config.hpp"
#include "cuda_runtime.h"

namespace sslcake::inline v0::kernels::cuda {
void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "[%s] %s\n", what, cudaGetErrorString(error));
  std::abort();
}
cudaStream_t stream() { return nullptr; }
int multiprocessors() { return 4; }
void* allocate(std::size_t bytes) {
  void* data = nullptr;
  check(cudaMalloc(&data, bytes), "allocate");
  return data;
}
void deallocate(void* data, std::size_t) noexcept { cudaFree(data); }
void upload(void* device, const void* host, std::size_t bytes) {
  cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, nullptr);
}
}  // namespace sslcake::inline v0::kernels::cuda
