// The GPU's side of memory: one stream for all work, a caching allocator in its order, pinned buffers for what goes up and
// comes down.
//
// Nothing here waits for the GPU but copies to the host, `take` and `synchronize`, and `upload` where the ring's oldest
// buffer is still on its way.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "../../core/device.hpp"
#include "../../core/error.hpp"
#include "../../core/storage.hpp"
#include "launch.cuh"
#include "table.hpp"

namespace sslcake::inline v0::kernels::cuda {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // a failed launch is told once
  fail(what, "CUDA: ", cudaGetErrorString(error), " (", cudaGetErrorName(error), ")");
}

namespace {

constexpr std::size_t alignment = 512, small_limit = std::size_t{1} << 20, small_segment = std::size_t{8} << 20,
                      granule = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

/// Segments from the driver, cut into blocks that join again when they are freed. Small blocks have segments of their own, so
/// that they do not break large ones into pieces. A freed block is free at once: the stream orders its next use behind the last.
class Allocator {
 public:
  // Never destroyed: tensors with static lifetime may be freed after main.
  static Allocator& instance() {
    static auto* allocator = new Allocator;
    return *allocator;
  }

  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t asked = bytes + (bytes == 0), size = caches_ ? round_up(asked, alignment) : asked;
    const bool small = size <= small_limit;
    Block* block = find(size, small);
    if (!block) {
      release();  // perhaps what is cached is what is missing
      block = find(size, small);
    }
    if (!block) {
      std::size_t free = 0, total = 0;
      cudaMemGetInfo(&free, &total);
      fail("allocate", "the GPU has no ", bytes, " bytes left: ", free, " of ", total, " are free, ", in_use_,
           " are in use here; use a smaller batch or picture size");
    }
    in_use_ += size;
    if (in_use_ > peak_) peak_ = in_use_;
    if (poison_) cudaMemsetAsync(block->data, 0xff, size, stream());
    return block->data;
  }

  void deallocate(void* data) {
    const std::lock_guard lock(mutex_);
    const auto it = blocks_.find(data);
    if (it == blocks_.end()) return;
    Block* block = it->second.get();
    in_use_ -= block->bytes;
    block->free = true;
    block = join(block, block->next);
    if (block->previous && block->previous->free) block = join(block->previous, block);
    free_[block->small].insert({block->bytes, block->data});
    if (!caches_) release();
  }

  void release_cached() {
    const std::lock_guard lock(mutex_);
    release();
  }
  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return {in_use_, peak_, from_driver_ - in_use_, calls_};
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    peak_ = in_use_;
  }
  std::size_t free_bytes() {
    std::size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    const std::lock_guard lock(mutex_);
    return free + from_driver_ - in_use_;
  }

 private:
  struct Block {
    char* data;
    std::size_t bytes;
    bool free = false, small = false;
    Block *previous = nullptr, *next = nullptr;  // neighbours in the segment
  };

  /// The smallest free block that is large enough, cut to size; a new segment where there is none; null where there is no memory.
  Block* find(std::size_t size, bool small) {
    auto& list = free_[small];
    auto it = list.lower_bound({size, nullptr});
    if (it == list.end()) {
      const std::size_t segment = !caches_ ? size : small ? small_segment : round_up(size, granule);
      void* data = nullptr;
      const cudaError_t error = cudaMalloc(&data, segment);
      if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        return nullptr;
      }
      check(error, "allocate");  // what an earlier kernel did wrong is told here, too
      ++calls_;
      from_driver_ += segment;
      add({static_cast<char*>(data), segment, true, small});
      it = list.insert({segment, static_cast<char*>(data)}).first;
    }
    Block* block = blocks_.at(it->second).get();
    list.erase(it);
    block->free = false;
    if (caches_ && block->bytes - size >= (small ? alignment : small_limit)) {
      Block* rest = add({block->data + size, block->bytes - size, true, small, block, block->next});
      if (rest->next) rest->next->previous = rest;
      block->next = rest;
      block->bytes = size;
      list.insert({rest->bytes, rest->data});
    } else {
      in_use_ += block->bytes - size;  // counted with it, as deallocate will
    }
    return block;
  }
  Block* add(const Block& block) { return (blocks_[block.data] = std::make_unique<Block>(block)).get(); }

  /// `right`, if it is free, becomes part of `left`.
  Block* join(Block* left, Block* right) {
    if (!right || (left->free && !right->free)) return left;
    free_[left->small].erase({left->bytes, left->data});
    free_[right->small].erase({right->bytes, right->data});
    left->bytes += right->bytes;
    left->next = right->next;
    if (left->next) left->next->previous = left;
    blocks_.erase(right->data);
    return left;
  }

  void release() {
    for (const bool small : {false, true})
      for (auto it = free_[small].begin(); it != free_[small].end();) {
        const auto found = blocks_.find(it->second);
        const Block& block = *found->second;
        if (block.previous || block.next) {
          ++it;
          continue;
        }
        from_driver_ -= block.bytes;
        cudaFree(block.data);  // waits for the GPU
        it = free_[small].erase(it);
        blocks_.erase(found);
      }
  }

  std::mutex mutex_;
  std::map<void*, std::unique_ptr<Block>> blocks_;
  std::set<std::pair<std::size_t, char*>> free_[2];
  std::size_t in_use_ = 0, peak_ = 0, from_driver_ = 0;
  std::uint64_t calls_ = 0;
  static bool wants(const char* variable, const char* value) {
    const char* found = std::getenv(variable);
    return found && std::strcmp(found, value) == 0;
  }
  const bool poison_ = wants("SSLCAKE_CUDA_POISON", "1");  // fresh memory is NaN, for tests
  // 0: each block is the driver's own, of exactly the bytes that were asked for, so that checkers see what lies beside it.
  const bool caches_ = !wants("SSLCAKE_CUDA_CACHE", "0");
};

cudaStream_t make_stream() {
  cudaStream_t made = nullptr;
  check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "cuda");
  return made;
}

cudaEvent_t make_event() {
  cudaEvent_t made = nullptr;
  check(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "cuda");
  return made;
}

/// A pinned buffer of the host, and the event behind its last use.
struct Pinned {
  void* data = nullptr;
  std::size_t bytes = 0;
  cudaEvent_t event = make_event();
  bool used = false;

  void hold(std::size_t wanted) {
    if (used) check(cudaEventSynchronize(event), "upload");
    if (bytes >= wanted) return;
    if (data) check(cudaFreeHost(data), "upload");
    data = nullptr;
    bytes = 0;  // until there is a new one: where it is refused, the next call asks again
    const std::size_t rounded = round_up(wanted, std::size_t{1} << 16);
    check(cudaHostAlloc(&data, rounded, cudaHostAllocDefault), "upload");
    bytes = rounded;
  }
  void mark() {
    check(cudaEventRecord(event, stream()), "upload");
    used = true;
  }
};

std::mutex& staging_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

void upload(void* to, const void* from, std::size_t bytes) {
  constexpr std::size_t most = std::size_t{16} << 20;
  static auto* ring = new std::vector<Pinned>(16);
  static std::size_t next = 0;
  const std::lock_guard lock(staging_mutex());
  for (std::size_t begin = 0; begin < bytes; begin += most) {
    const std::size_t size = bytes - begin < most ? bytes - begin : most;
    Pinned& buffer = (*ring)[next++ % ring->size()];
    buffer.hold(size);
    std::memcpy(buffer.data, static_cast<const char*>(from) + begin, size);
    check(cudaMemcpyAsync(static_cast<char*>(to) + begin, buffer.data, size, cudaMemcpyHostToDevice, stream()), "upload");
    buffer.mark();
  }
}

namespace {

void copy(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes) {
  if (bytes == 0) return;
  if (from_device == Device::cpu) return upload(to, from, bytes);
  check(cudaMemcpyAsync(to, from, bytes, to_device == Device::cpu ? cudaMemcpyDeviceToHost : cudaMemcpyDeviceToDevice, stream()),
        "copy");
  if (to_device == Device::cpu) check(cudaStreamSynchronize(stream()), "copy");
}

// Fetched numbers: a ticket is a pinned buffer of 8 bytes a number.
std::vector<Pinned*>& idle_tickets() {
  static auto* tickets = new std::vector<Pinned*>;
  return *tickets;
}
void* fetch(int count, const void* const* from, const std::size_t* bytes) {
  const std::lock_guard lock(staging_mutex());
  auto& idle = idle_tickets();
  if (idle.empty()) idle.push_back(new Pinned);
  Pinned* ticket = idle.back();
  idle.pop_back();
  ticket->hold(static_cast<std::size_t>(count) * 8);
  for (int i = 0; i < count; ++i)
    check(cudaMemcpyAsync(static_cast<char*>(ticket->data) + 8 * i, from[i], bytes[i], cudaMemcpyDeviceToHost, stream()),
          "fetch");
  ticket->mark();
  return ticket;
}
bool fetched(void* ticket) {
  const auto state = cudaEventQuery(static_cast<Pinned*>(ticket)->event);
  if (state == cudaErrorNotReady) return false;
  check(state, "fetch");
  return true;
}
void take(void* ticket, int count, void* to) {
  auto* pinned = static_cast<Pinned*>(ticket);
  const auto state = cudaEventSynchronize(pinned->event);
  std::memcpy(to, pinned->data, static_cast<std::size_t>(count) * 8);
  const std::lock_guard lock(staging_mutex());
  idle_tickets().push_back(pinned);
  check(state, "fetch");
}

void fill(DType type, std::int64_t n, void* to, double value) { table().elementwise.fill(type, n, to, value); }
void convert(DType from_type, const void* from, DType to_type, void* to, std::int64_t n) {
  table().elementwise.convert(from_type, from, to_type, to, n);
}
void add(DType type, std::int64_t n, void* to, const void* from) { table().elementwise.add_into(type, n, to, from); }
bool all_finite(DType type, std::int64_t n, const void* x) {
  if (!is_floating(type)) return true;
  if (type == DType::float64) {  // losses and norms: few
    std::vector<std::uint64_t> words(static_cast<std::size_t>(n));
    copy(words.data(), Device::cpu, x, Device::cuda, words.size() * sizeof(std::uint64_t));
    constexpr std::uint64_t exponent = 0x7ff0000000000000u;
    return std::none_of(words.begin(), words.end(), [](std::uint64_t word) { return (word & exponent) == exponent; });
  }
  int found = 0;
  const Scratch<int> flag(1);
  check(cudaMemsetAsync(flag.data(), 0, sizeof found, stream()), "all_finite");
  table().reduce.finite(type, n, x, flag.data());
  copy(&found, Device::cpu, flag.data(), Device::cuda, sizeof found);
  return found == 0;
}
const cudaDeviceProp& properties() {
  static const cudaDeviceProp of_gpu = [] {
    cudaDeviceProp found{};
    check(cudaGetDeviceProperties(&found, 0), "cuda");
    return found;
  }();
  return of_gpu;
}
void synchronize() { check(cudaStreamSynchronize(stream()), "synchronize"); }

}  // namespace

cudaStream_t stream() {
  static const cudaStream_t made = make_stream();
  return made;
}
int multiprocessors() { return properties().multiProcessorCount; }
std::size_t shared_limit() { return properties().sharedMemPerBlockOptin; }
void* allocate(std::size_t bytes) {
  stream();  // where there is no GPU, that is what is told
  return Allocator::instance().allocate(bytes);
}
void deallocate(void* data, std::size_t) noexcept { Allocator::instance().deallocate(data); }

const DeviceFunctions& device_functions() {
  static const DeviceFunctions functions{
      .allocate = allocate,
      .deallocate = [](void* data, std::size_t bytes) { deallocate(data, bytes); },
      .memory_stats = [] { return Allocator::instance().stats(); },
      .reset_peak_memory = [] { Allocator::instance().reset_peak(); },
      .release_cached_memory = [] { Allocator::instance().release_cached(); },
      .copy = copy,
      .fill = fill,
      .convert = convert,
      .add = add,
      .all_finite = all_finite,
      .synchronize = synchronize,
      .fetch = fetch,
      .fetched = fetched,
      .take = take,
  };
  return functions;
}

void install(Runtime& table) {
  table = {.upload = upload, .free_bytes = [] { return Allocator::instance().free_bytes(); }};
}

}  // namespace sslcake::inline v0::kernels::cuda
