// Memory: reference-counted blocks from a caching allocator. A training step asks for the same sizes again and again;
// keeping freed blocks (small ones in lists by size, large ones in one arena) spares the system calls and the page faults
// that fresh memory costs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "device.hpp"
#include "dtype.hpp"

namespace sslcake::inline v0 {

/// What the allocator holds, in bytes.
struct MemoryStats {
  std::size_t in_use = 0;     // by live tensors and workspaces
  std::size_t peak = 0;       // largest in_use since the start or the last reset_peak_memory()
  std::size_t cached = 0;     // freed, kept for reuse
  std::uint64_t from_system = 0;  // how often the system was asked for memory
};
MemoryStats memory_stats(Device device = Device::cpu);
void reset_peak_memory(Device device = Device::cpu);
/// Gives cached blocks back to the system.
void release_cached_memory(Device device = Device::cpu);

namespace detail {
void* allocate(std::size_t bytes,
               Device device = Device::cpu);  // 64-byte aligned; throws Error with the size when the system has none
void deallocate(void* data, std::size_t bytes, Device device = Device::cpu) noexcept;
}  // namespace detail

/// A block of bytes on a device, with a counter of the writes through tensors: the tape compares it, so that a
/// tensor saved for the backward pass and then changed in place is an error and not a wrong gradient.
class Storage {
 public:
  explicit Storage(std::size_t bytes, Device device = Device::cpu)
      : data_(bytes ? detail::allocate(bytes, device) : nullptr), bytes_(bytes), device_(device) {}
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage() { if (data_) detail::deallocate(data_, bytes_, device_); }

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  /// Moves the bytes; every tensor that shares them goes along.
  void move_to(Device device);
  std::uint32_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_ = Device::cpu;
  std::atomic<std::uint32_t> version_{0};
};

/// Uninitialised scratch memory for kernels: freed at the end of the scope, reused by the next.
template <class T>
class Workspace {
 public:
  explicit Workspace(std::int64_t count) : storage_(static_cast<std::size_t>(count) * sizeof(T)), count_(count) {}
  T* data() const { return static_cast<T*>(storage_.data()); }
  std::int64_t size() const { return count_; }
  T& operator[](std::int64_t i) const { return data()[i]; }

 private:
  Storage storage_;
  std::int64_t count_;
};

}  // namespace sslcake::inline v0

#ifndef SSLCAKE_COMPILED
#include "storage_inl.hpp"
#endif
