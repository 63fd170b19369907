#pragma once

#include <bit>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "arena.hpp"
#include "storage.hpp"

namespace sslcake::inline v0 {
namespace detail {

// Sanitizers see blocks of the system's allocator only.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool arena_wanted = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool arena_wanted = false;
#else
inline constexpr bool arena_wanted = true;
#endif
#else
inline constexpr bool arena_wanted = true;
#endif

/// Small blocks in free lists by size class, eight classes per power of two, so at most an eighth of a block is wasted;
/// large ones in an arena.
class Allocator {
 public:
  // Kernels' workspaces are among the large: the arena's huge pages lie together in memory. On small pages, wherever
  // those happen to be, the lines of a workspace evict each other from the second cache (a Winograd convolution took
  // between one and two times as long, from run to run).
  static constexpr std::size_t large = std::size_t{1} << 16;

  // Never destroyed: tensors with static lifetime may be freed after main.
  static Allocator& instance() {
    static auto* allocator = new Allocator;
    return *allocator;
  }

  static std::size_t round_up(std::size_t bytes) {
    if (bytes <= 512) return (bytes + 63) / 64 * 64;
    const std::size_t step = std::bit_floor(bytes) / 8;
    return (bytes + step - 1) / step * step;
  }

  void* allocate(std::size_t bytes) {
    if (bytes > (std::size_t{1} << 46)) fail("allocate", "expected fewer than 2^46 bytes, got ", bytes);
    {
      const std::lock_guard lock(mutex_);
      if (void* block = find(bytes)) return block;
      release();  // perhaps what is cached is what is missing
      if (void* block = find(bytes)) return block;
    }
    fail("allocate", "the system has no ", bytes, " bytes left (", stats().in_use,
         " in use); use a smaller batch or picture size");
  }

  void deallocate(void* block, std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    const bool in_arena = arena_ && arena_->owns(block);
    const std::size_t size = in_arena ? Arena::round_up(bytes) : round_up(bytes);
    in_use_ -= size;
    try {
      if (in_arena) return arena_->free(block, bytes);
      free_[size].push_back(block);
      listed_ += size;
    } catch (...) {
      if (!in_arena) std::free(block);
    }
  }

  void release_cached() {
    const std::lock_guard lock(mutex_);
    release();
  }
  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return {in_use_, peak_, listed_ + (arena_ ? arena_->cached() : 0), blocks_ + (arena_ ? arena_->growths() : 0)};
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    peak_ = in_use_;
  }

 private:
  /// A block of at least so many bytes, or null.
  void* find(std::size_t bytes) {
    if (arena_wanted && bytes >= large) {
      if (!arena_) arena_ = std::make_unique<Arena>();
      if (void* block = arena_->allocate(bytes)) return counted(block, Arena::round_up(bytes));
    }
    const std::size_t size = round_up(bytes);
    auto& list = free_[size];
    if (!list.empty()) {
      void* block = list.back();
      list.pop_back();
      listed_ -= size;
      return counted(block, size);
    }
    void* block = std::aligned_alloc(64, size);
    if (!block) return nullptr;
    ++blocks_;
    return counted(block, size);
  }
  void* counted(void* block, std::size_t size) {
    in_use_ += size;
    if (in_use_ > peak_) peak_ = in_use_;
    return block;
  }
  void release() {
    for (auto& [size, list] : free_)
      for (void* block : list) std::free(block);
    free_.clear();
    listed_ = 0;
    if (arena_) arena_->release();
  }

  std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;
  std::unique_ptr<Arena> arena_;
  std::size_t in_use_ = 0, peak_ = 0, listed_ = 0;
  std::uint64_t blocks_ = 0;
};

SSLCAKE_INLINE void* allocate(std::size_t bytes, Device device) {
  return device == Device::cpu ? Allocator::instance().allocate(bytes) : functions_of(device).allocate(bytes);
}
SSLCAKE_INLINE void deallocate(void* data, std::size_t bytes, Device device) noexcept {
  if (device == Device::cpu) Allocator::instance().deallocate(data, bytes);
  else functions_of(device).deallocate(data, bytes);
}

}  // namespace detail

SSLCAKE_INLINE MemoryStats memory_stats(Device device) {
  return device == Device::cpu ? detail::Allocator::instance().stats() : functions_of(device).memory_stats();
}
SSLCAKE_INLINE void reset_peak_memory(Device device) {
  if (device == Device::cpu) detail::Allocator::instance().reset_peak();
  else functions_of(device).reset_peak_memory();
}
SSLCAKE_INLINE void release_cached_memory(Device device) {
  if (device == Device::cpu) detail::Allocator::instance().release_cached();
  else functions_of(device).release_cached_memory();
}

SSLCAKE_INLINE void Storage::move_to(Device device) {
  if (device == device_) return;
  void* moved = bytes_ ? detail::allocate(bytes_, device) : nullptr;
  if (moved) {
    try {
      functions_of(device == Device::cpu ? device_ : device).copy(moved, device, data_, device_, bytes_);
    } catch (...) {
      detail::deallocate(moved, bytes_, device);
      throw;
    }
    detail::deallocate(data_, bytes_, device_);
  }
  data_ = moved;
  device_ = device;
}

}  // namespace sslcake::inline v0
