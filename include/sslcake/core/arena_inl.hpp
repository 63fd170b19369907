#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "arena.hpp"

namespace sslcake::inline v0::detail {

// Addresses cost nothing: as many are set aside as there is memory, or what a limit on them leaves. They may not be
// touched, and the system counts them as ours, only where the range has grown.
SSLCAKE_INLINE Arena::Arena() {
  constexpr std::size_t huge = std::size_t{1} << 21, least = std::size_t{1} << 26;
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  std::size_t wanted =
      pages > 0 && page > 0 ? static_cast<std::size_t>(pages) * static_cast<std::size_t>(page) : std::size_t{1} << 36;
  for (wanted = (wanted + huge - 1) / huge * huge; wanted >= least; wanted = wanted / 2 / huge * huge) {
    void* range = ::mmap(nullptr, wanted + huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) continue;
    char* start = static_cast<char*>(range);
    base_ = start + (huge - reinterpret_cast<std::size_t>(start) % huge) % huge;
    reserved_ = wanted;
    return;
  }
}

SSLCAKE_INLINE void Arena::insert(std::size_t at, Block block) {
  free_.emplace(at, block);
  by_size_.emplace(block.bytes, at);
  if (block.held) cached_ += block.bytes;
}
SSLCAKE_INLINE void Arena::erase(std::map<std::size_t, Block>::iterator block) {
  by_size_.erase({block->second.bytes, block->first});
  if (block->second.held) cached_ -= block->second.bytes;
  free_.erase(block);
}

/// Makes `bytes` more at the end usable.
SSLCAKE_INLINE bool Arena::grow(std::size_t bytes) {
  if (bytes > reserved_ - top_) return false;
  const std::size_t wanted = top_ + bytes;
  if (wanted > usable_) {
    // In large steps, but never more than there is.
    constexpr std::size_t step = std::size_t{1} << 26;
    const std::size_t end = std::min(reserved_, (wanted + step - 1) / step * step);
    if (::mprotect(base_ + usable_, end - usable_, PROT_READ | PROT_WRITE) != 0) return false;
#ifdef MADV_HUGEPAGE
    // A kernel that walks through tens of places at once runs out of address translations long before it runs out of
    // cache, and a first touch costs one fault instead of 512. A wish: refused, all works as before.
    ::madvise(base_ + usable_, end - usable_, MADV_HUGEPAGE);
#endif
    usable_ = end;
    ++growths_;
  }
  top_ = wanted;
  return true;
}

SSLCAKE_INLINE void* Arena::allocate(std::size_t bytes) {
  bytes = round_up(bytes);
  const auto fit = by_size_.lower_bound({bytes, 0});
  if (fit != by_size_.end()) {
    const auto block = free_.find(fit->second);
    const auto [at, found] = *block;
    erase(block);
    if (found.bytes > bytes) insert(at + bytes, {found.bytes - bytes, found.held});
    return base_ + at;
  }
  // What is free at the very end is part of what the block needs.
  std::size_t at = top_;
  const auto last = free_.empty() ? free_.end() : std::prev(free_.end());
  const bool extends = last != free_.end() && last->first + last->second.bytes == top_;
  if (extends) at = last->first;
  if (!grow(bytes - (top_ - at))) return nullptr;
  if (extends) erase(last);
  return base_ + at;
}

SSLCAKE_INLINE void Arena::free(void* block, std::size_t bytes) {
  std::size_t at = static_cast<std::size_t>(static_cast<char*>(block) - base_);
  bytes = round_up(bytes);
  const auto after = free_.lower_bound(at);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second.bytes == at) {
      at = before->first;
      bytes += before->second.bytes;
      erase(before);
    }
  }
  if (after != free_.end() && at + bytes == after->first) {
    bytes += after->second.bytes;
    erase(after);
  }
  insert(at, {bytes, true});
}

SSLCAKE_INLINE void Arena::release() {
  for (auto& [at, block] : free_) {
    if (!block.held) continue;
    ::madvise(base_ + at, block.bytes, MADV_DONTNEED);
    block.held = false;
  }
  cached_ = 0;
}

}  // namespace sslcake::inline v0::detail
