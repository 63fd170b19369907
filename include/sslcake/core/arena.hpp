// Memory for large blocks: one range of addresses, grown at its end, in which freed neighbours become one block again. A
// step frees activations of many sizes; kept apart by size they could not stand in for each other, and the peak would be
// the sum over all sizes of the peak of each.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>

#include "config.hpp"

namespace sslcake::inline v0::detail {

/// Not safe for several threads at once: the allocator holds its lock.
class Arena {
 public:
  Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// The smallest free block that fits, cut to size, or new memory; null where the system has none. A multiple of 4096
  /// bytes, aligned to that.
  void* allocate(std::size_t bytes);
  void free(void* block, std::size_t bytes);
  bool owns(const void* block) const { return block >= base_ && block < base_ + top_; }
  /// Gives the pages of all free blocks back to the system; their addresses stay.
  void release();
  std::size_t cached() const { return cached_; }    // bytes in free blocks whose pages are held
  std::size_t growths() const { return growths_; }  // how often the system was asked for more
  static std::size_t round_up(std::size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

 private:
  struct Block {
    std::size_t bytes;
    bool held;  // its pages, or some of them, were not given back
  };
  void insert(std::size_t at, Block block);
  void erase(std::map<std::size_t, Block>::iterator block);
  bool grow(std::size_t bytes);

  char* base_ = nullptr;
  std::size_t reserved_ = 0, usable_ = 0, top_ = 0;  // addresses set aside; those that may be touched; those handed out or free
  std::map<std::size_t, Block> free_;                // by address
  std::set<std::pair<std::size_t, std::size_t>> by_size_;
  std::size_t cached_ = 0, growths_ = 0;
};

}  // namespace sslcake::inline v0::detail

#ifndef SSLCAKE_COMPILED
#include "arena_inl.hpp"
#endif
