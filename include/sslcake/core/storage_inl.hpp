#pragma once

#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "storage.hpp"

namespace sslcake::inline v0 {
namespace detail {

/// Free lists by size class: eight classes per power of two, so at most an eighth of a block is wasted.
class Allocator {
 public:
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
    const std::size_t size = round_up(bytes);
    {
      const std::lock_guard lock(mutex_);
      stats_.in_use += size;
      if (stats_.in_use > stats_.peak) stats_.peak = stats_.in_use;
      auto& list = free_[size];
      if (!list.empty()) {
        void* block = list.back();
        list.pop_back();
        stats_.cached -= size;
        return block;
      }
      ++stats_.from_system;
    }
    void* block = from_system(size);
    if (!block) {  // perhaps what is cached in other sizes is what is missing
      release();
      block = from_system(size);
    }
    if (!block) {
      const std::lock_guard lock(mutex_);
      stats_.in_use -= size;
      fail("allocate", "the system has no ", size, " bytes left (", stats_.in_use,
           " in use); use a smaller batch or picture size");
    }
    return block;
  }

  void deallocate(void* block, std::size_t bytes) noexcept {
    const std::size_t size = round_up(bytes);
    const std::lock_guard lock(mutex_);
    stats_.in_use -= size;
    try {
      free_[size].push_back(block);
      stats_.cached += size;
    } catch (...) {
      std::free(block);
    }
  }

  void release() {
    const std::lock_guard lock(mutex_);
    for (auto& [size, list] : free_)
      for (void* block : list) std::free(block);
    free_.clear();
    stats_.cached = 0;
  }

  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak = stats_.in_use;
  }

 private:
  /// Large blocks ask for huge pages: a kernel that walks through tens of places at once runs out of address
  /// translations long before it runs out of cache, and a first touch costs one fault instead of 512.
  static void* from_system(std::size_t size) {
    constexpr std::size_t huge = std::size_t{1} << 21;
    if (size < huge) return std::aligned_alloc(64, size);
    void* block = nullptr;  // aligned_alloc would want a size that is a multiple of the alignment
    if (::posix_memalign(&block, huge, size) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
    ::madvise(block, size, MADV_HUGEPAGE);  // a wish: refused, all works as before
#endif
    return block;
  }

  std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;
  MemoryStats stats_;
};

SSLCAKE_INLINE void* allocate(std::size_t bytes) { return Allocator::instance().allocate(bytes); }
SSLCAKE_INLINE void deallocate(void* data, std::size_t bytes) noexcept { Allocator::instance().deallocate(data, bytes); }

}  // namespace detail

SSLCAKE_INLINE MemoryStats memory_stats() { return detail::Allocator::instance().stats(); }
SSLCAKE_INLINE void reset_peak_memory() { detail::Allocator::instance().reset_peak(); }
SSLCAKE_INLINE void release_cached_memory() { detail::Allocator::instance().release(); }

}  // namespace sslcake::inline v0
