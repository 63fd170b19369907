// Whether the backend can run here, and its installation.
#include <string>

#include "../../core/device.hpp"
#include "../../core/error.hpp"
#include "install.hpp"
#include "launch.cuh"
#include "table.hpp"

namespace sslcake::inline v0::kernels::cuda {

namespace {

__global__ void probe() {}

/// Why the backend cannot run here; empty where it can.
std::string obstacle() {
  int count = 0, driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const auto version = [](int v) { return concat(v / 1000, ".", v % 1000 / 10); };
  const auto found = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (driver == 0) return "this machine has no NVIDIA driver";
  if (found == cudaErrorInsufficientDriver)
    return concat("the NVIDIA driver knows CUDA ", version(driver), ", this program needs ", version(runtime),
                  ": install a newer driver");
  if (found == cudaErrorNoDevice || (found == cudaSuccess && count == 0))
    return "the NVIDIA driver sees no GPU (CUDA_VISIBLE_DEVICES hides those it does not name)";
  if (found != cudaSuccess) return concat("the NVIDIA driver does not start: ", cudaGetErrorString(found));
  cudaDeviceProp properties{};
  if (const auto error = cudaGetDeviceProperties(&properties, 0); error != cudaSuccess)
    return concat("the GPU does not answer: ", cudaGetErrorString(error));
  if (properties.major < 8)
    return concat("the ", properties.name, " has compute capability ", properties.major, ".", properties.minor,
                  ", the kernels need 8.0 or newer");
  std::size_t free = 0, total = 0;
  if (const auto error = cudaMemGetInfo(&free, &total); error != cudaSuccess)
    return concat("the ", properties.name, " cannot be used: ", cudaGetErrorString(error),
                  error == cudaErrorMemoryAllocation ? " (its memory is taken by other programs)" : "");
  if (free < (std::size_t{256} << 20))
    return concat("of the ", properties.name, "'s memory ", free >> 20, " of ", total >> 20,
                  " MiB are free: the rest is taken by other programs");
  cudaLaunchConfig_t config{};
  config.stream = stream();
  if (const auto error = cudaLaunchKernelEx(&config, probe); error != cudaSuccess) {
    cudaGetLastError();
    return concat("this program has no code for the ", properties.name, " (compute capability ", properties.major, ".",
                  properties.minor, "): ", cudaGetErrorString(error));
  }
  return "";
}

const Table& filled_table() {
  static const Table filled = [] {
    Table t;
    install(t.attention), install(t.augment), install(t.convolution), install(t.elementwise), install(t.losses),
        install(t.neighbours);
    install(t.norm), install(t.nt_xent), install(t.optimiser), install(t.pool), install(t.product), install(t.reduce),
        install(t.runtime), install(t.shape);
    return t;
  }();
  return filled;
}

}  // namespace

}  // namespace sslcake::inline v0::kernels::cuda

namespace sslcake::inline v0::cuda {

std::string why_not() {
  if (device_installed(Device::cuda)) return "";
  try {
    return kernels::cuda::obstacle();
  } catch (const Error& e) { return e.what(); }
}

void install() {
  if (device_installed(Device::cuda)) return;
  if (const auto why = why_not(); !why.empty()) fail("cuda", why);
  kernels::cuda::detail::installed() = &kernels::cuda::filled_table();
  install_device(Device::cuda, &kernels::cuda::device_functions());
}

std::string description() {
  install();
  cudaDeviceProp properties{};
  kernels::cuda::check(cudaGetDeviceProperties(&properties, 0), "cuda");
  return concat(properties.name, ", ", properties.multiProcessorCount, " multiprocessors, compute capability ", properties.major,
                ".", properties.minor);
}

}  // namespace sslcake::inline v0::cuda
