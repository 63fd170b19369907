// What the library asks of a device that is not the CPU: memory, copies, and the few functions that the tape needs. A backend
// fills the table and installs it; without one the functions here fail with a message that says what is missing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dtype.hpp"

namespace sslcake::inline v0 {

struct MemoryStats;

/// Work on a device is ordered: each of these comes after all that was asked for before it. `allocate`, `fill`, `convert`, `add`
/// and copies to the device return at once; copies to the host return when the numbers are there.
struct DeviceFunctions {
  void* (*allocate)(std::size_t bytes) = nullptr;  // an Error says what was asked for and what is free
  void (*deallocate)(void* data, std::size_t bytes) = nullptr;
  MemoryStats (*memory_stats)() = nullptr;
  void (*reset_peak_memory)() = nullptr;
  void (*release_cached_memory)() = nullptr;
  void (*copy)(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes) = nullptr;
  void (*fill)(DType type, std::int64_t n, void* to, double value) = nullptr;
  void (*convert)(DType from_type, const void* from, DType to_type, void* to, std::int64_t n) = nullptr;
  void (*add)(DType type, std::int64_t n, void* to, const void* from) = nullptr;  // to += from, float32 or bfloat16
  bool (*all_finite)(DType type, std::int64_t n, const void* x) = nullptr;        // waits
  void (*synchronize)() = nullptr;
  // Numbers on their way to the host: `fetch` begins copies of `bytes[i]` bytes each to consecutive places of 8 bytes and
  // returns a ticket; `fetched` says whether they have arrived; `take` waits, and gives the ticket back.
  void* (*fetch)(int count, const void* const* from, const std::size_t* bytes) = nullptr;
  bool (*fetched)(void* ticket) = nullptr;
  void (*take)(void* ticket, int count, void* to) = nullptr;
};

/// The functions of a device. Errors: the CPU, which needs none; a device whose backend is not installed.
const DeviceFunctions& functions_of(Device device);
/// Installs a backend (nullptr: takes it away), which must live as long as the program.
void install_device(Device device, const DeviceFunctions* functions);
/// Whether tensors can be made on it.
bool device_installed(Device device);
/// Waits until the device has done all that was asked of it; nothing to wait for on the CPU.
void synchronize(Device device);

}  // namespace sslcake::inline v0

#ifndef SSLCAKE_COMPILED
#include "device_inl.hpp"
#endif
