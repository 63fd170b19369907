#pragma once

#include <atomic>

#include "device.hpp"

namespace sslcake::inline v0 {

namespace detail {
inline std::atomic<const DeviceFunctions*>& cuda_functions() {
  static std::atomic<const DeviceFunctions*> functions{nullptr};
  return functions;
}
}  // namespace detail

SSLCAKE_INLINE const DeviceFunctions& functions_of(Device device) {
  if (device == Device::cpu) fail("functions_of", "expected a device other than the CPU");
  const auto* functions = detail::cuda_functions().load(std::memory_order_acquire);
  if (!functions)
    fail("cuda", "the CUDA backend is not installed; build sslcake with -DSSLCAKE_CUDA=ON, link sslcake::cuda and call "
                 "sslcake::cuda::install()");
  return *functions;
}
SSLCAKE_INLINE void install_device(Device device, const DeviceFunctions* functions) {
  if (device == Device::cpu) fail("install_device", "expected a device other than the CPU");
  detail::cuda_functions().store(functions, std::memory_order_release);
}
SSLCAKE_INLINE bool device_installed(Device device) {
  return device == Device::cpu || detail::cuda_functions().load(std::memory_order_acquire) != nullptr;
}
SSLCAKE_INLINE void synchronize(Device device) {
  if (device != Device::cpu) functions_of(device).synchronize();
}

}  // namespace sslcake::inline v0
