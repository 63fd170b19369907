// Fibers, barriers and memory of the model; cuda_runtime.h says what it is.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../../include/sslcake/core/config.hpp"
#include "model_instructions.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace cuda_model {
namespace {

constexpr std::size_t stack_bytes = 96 << 10;

struct PendingCopy {
  void* to;
  const void* from;
  int bytes, valid;
};

struct Fiber {
  enum class State { ready, at_barrier, at_warp, done };
  State state = State::done;
  uint3 index;
  std::unique_ptr<unsigned char[]> stack;
#if defined(__x86_64__)
  void* pointer = nullptr;
#else
  ucontext_t context;
#endif
  WarpFunction warp = nullptr;
  void* mine = nullptr;
  bool vote = false;
  int votes = 0;
  std::vector<PendingCopy> open;
  std::deque<std::vector<PendingCopy>> groups;
};

std::vector<std::unique_ptr<Fiber>> fibers;
Fiber* current = nullptr;
const std::function<void()>* body = nullptr;
std::vector<unsigned char> shared_memory;
std::exception_ptr thrown;

#if defined(__x86_64__)
void* scheduler_pointer = nullptr;
extern "C" void sslcake_model_switch(void** save, void* load);
asm(R"(
.text
.globl sslcake_model_switch
.type sslcake_model_switch,@function
sslcake_model_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size sslcake_model_switch,.-sslcake_model_switch
)");
void to_scheduler() { sslcake_model_switch(&current->pointer, scheduler_pointer); }
void to_fiber() { sslcake_model_switch(&scheduler_pointer, current->pointer); }
#else
ucontext_t scheduler_context;
void to_scheduler() { swapcontext(&current->context, &scheduler_context); }
void to_fiber() { swapcontext(&scheduler_context, &current->context); }
#endif

void life() {
  try {
    (*body)();
  } catch (...) { thrown = std::current_exception(); }
  current->state = Fiber::State::done;
  to_scheduler();
  std::abort();  // nobody wakes it again
}

void prepare(Fiber& f) {
  if (!f.stack) f.stack = std::make_unique<unsigned char[]>(stack_bytes);
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(f.stack.get(), stack_bytes);  // of the thread that used it before
#endif
  f.open.clear();
  f.groups.clear();
#if defined(__x86_64__)
  auto top = reinterpret_cast<std::uintptr_t>(f.stack.get() + stack_bytes) & ~std::uintptr_t{15};
  auto* slot = reinterpret_cast<void**>(top);
  *--slot = nullptr;  // keeps the stack as a called function expects it
  *--slot = reinterpret_cast<void*>(&life);
  for (int i = 0; i < 6; ++i) *--slot = nullptr;  // the registers that the switch restores
  f.pointer = slot;
#else
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = f.stack.get();
  f.context.uc_stack.ss_size = stack_bytes;
  f.context.uc_link = nullptr;
  makecontext(&f.context, life, 0);
#endif
  f.state = Fiber::State::ready;
}

std::vector<int> order_of(int count) {
  std::vector<int> order(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) order[static_cast<std::size_t>(i)] = i;
  const char* wanted = std::getenv("SSLCAKE_MODEL_ORDER");
  if (!wanted || !*wanted) return order;
  if (std::string(wanted) == "reverse") std::reverse(order.begin(), order.end());
  else std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(std::atoi(wanted))));
  return order;
}

/// Carries out what complete warps wait for. Returns whether any did.
bool release_warps(int count) {
  bool any = false;
  for (int first = 0; first < count; first += 32) {
    void* lanes[32] = {};
    WarpFunction run = nullptr;
    bool complete = true;
    for (int i = first; i < std::min(first + 32, count); ++i) {
      auto& f = *fibers[static_cast<std::size_t>(i)];
      if (f.state == Fiber::State::done) continue;
      if (f.state != Fiber::State::at_warp) {
        complete = false;
        break;
      }
      if (run && f.warp != run) throw std::logic_error("lanes of one warp meet at different instructions");
      run = f.warp;
      lanes[i - first] = f.mine;
    }
    if (!complete || !run) continue;
    run(lanes);
    any = true;
    for (int i = first; i < std::min(first + 32, count); ++i)
      if (auto& f = *fibers[static_cast<std::size_t>(i)]; f.state == Fiber::State::at_warp) f.state = Fiber::State::ready;
  }
  return any;
}

bool release_barrier(int count) {
  int waiting = 0, votes = 0;
  for (int i = 0; i < count; ++i) {
    const auto& f = *fibers[static_cast<std::size_t>(i)];
    if (f.state == Fiber::State::at_barrier) ++waiting, votes += f.vote;
    else if (f.state != Fiber::State::done) return false;
  }
  for (int i = 0; i < count; ++i)
    if (auto& f = *fibers[static_cast<std::size_t>(i)]; f.state == Fiber::State::at_barrier)
      f.votes = votes, f.state = Fiber::State::ready;
  return waiting > 0;
}

}  // namespace

void warp(WarpFunction run, void* mine) {
  static int nothing;
  current->warp = run;
  current->mine = mine ? mine : &nothing;
  current->state = Fiber::State::at_warp;
  to_scheduler();
}
int barrier_count(bool mine) {
  current->vote = mine;
  current->state = Fiber::State::at_barrier;
  to_scheduler();
  return current->votes;
}
void barrier() { barrier_count(false); }

unsigned char* dynamic_shared() {
  return reinterpret_cast<unsigned char*>((reinterpret_cast<std::uintptr_t>(shared_memory.data()) + 127) & ~std::uintptr_t{127});
}

void run(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& thread) {
  const int count = static_cast<int>(block.x * block.y * block.z);
  if (count < 1 || count > 1024 || grid.x < 1 || grid.y < 1 || grid.z < 1 || grid.y > 65535 || grid.z > 65535 ||
      grid.x > 2147483647u || shared_bytes > shared_limit())
    throw std::logic_error(std::string("a launch that no GPU would take: ") + name);
  while (static_cast<int>(fibers.size()) < count) fibers.push_back(std::make_unique<Fiber>());
  const auto order = order_of(count);
  body = &thread;
  gridDim = grid;
  blockDim = block;
  shared_memory.resize(shared_bytes + 128);
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx.x = x, blockIdx.y = y, blockIdx.z = z;
        std::fill(shared_memory.begin(), shared_memory.end(), static_cast<unsigned char>(0xff));
        for (int i = 0; i < count; ++i) {
          auto& f = *fibers[static_cast<std::size_t>(i)];
          const auto n = static_cast<unsigned>(i);
          f.index.x = n % block.x, f.index.y = n / block.x % block.y, f.index.z = n / block.x / block.y;
          prepare(f);
        }
        for (bool alive = true; alive;) {
          bool moved = false;
          alive = false;
          for (const int i : order) {
            current = fibers[static_cast<std::size_t>(i)].get();
            if (current->state == Fiber::State::ready) {
              threadIdx = current->index;
              to_fiber();
              moved = true;
              if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
            }
            alive = alive || current->state != Fiber::State::done;
          }
          if (!alive) break;
          const bool released = release_warps(count) || release_barrier(count);
          if (!moved && !released) throw std::logic_error(std::string("threads wait for each other for ever: ") + name);
        }
      }
}

}  // namespace cuda_model

unsigned __ballot_sync(unsigned, int predicate) {
  struct Vote {
    int mine;
    unsigned all;
  } vote{predicate, 0};
  cuda_model::warp(
      [](void* const* lanes) {
        unsigned all = 0;
        for (int i = 0; i < 32; ++i)
          if (lanes[i] && static_cast<Vote*>(lanes[i])->mine) all |= 1u << i;
        for (int i = 0; i < 32; ++i)
          if (lanes[i]) static_cast<Vote*>(lanes[i])->all = all;
      },
      &vote);
  return vote.all;
}

namespace sslcake::inline v0::kernels::cuda::model {
void copy_later(void* to, const void* from, int bytes, int valid) {
  if (reinterpret_cast<std::uintptr_t>(to) % static_cast<unsigned>(bytes) ||
      (valid && reinterpret_cast<std::uintptr_t>(from) % static_cast<unsigned>(bytes)))
    throw std::logic_error("cp.async at an address that is not aligned");
  cuda_model::current->open.push_back({to, from, bytes, valid});
}
void commit_copies() { cuda_model::current->groups.push_back(std::exchange(cuda_model::current->open, {})); }
void wait_for_copies(int groups_left) {
  auto& groups = cuda_model::current->groups;
  while (static_cast<int>(groups.size()) > groups_left) {
    for (const auto& c : groups.front()) {
      if (c.valid > 0) std::memcpy(c.to, c.from, static_cast<std::size_t>(c.valid));
      std::memset(static_cast<char*>(c.to) + c.valid, 0, static_cast<std::size_t>(c.bytes - c.valid));
    }
    groups.pop_front();
  }
}
}  // namespace sslcake::inline v0::kernels::cuda::model

// --- memory ---------------------------------------------------------------------------------------------------------
namespace {
std::map<void*, std::size_t> blocks;
std::size_t used = 0;
std::size_t limit() {  // SSLCAKE_MODEL_MEMORY, in MiB: to see what happens when it is all taken
  const char* wanted = std::getenv("SSLCAKE_MODEL_MEMORY");
  return static_cast<std::size_t>(wanted ? std::atoi(wanted) : 8192) << 20;
}
}  // namespace

bool cuda_model::refuses(const char* what) {
  static const char* refused = std::getenv("SSLCAKE_MODEL_REFUSES");
  return refused && std::strcmp(refused, what) == 0;
}
std::size_t cuda_model::shared_limit() {
  static const char* wanted = std::getenv("SSLCAKE_MODEL_SHARED");
  return static_cast<std::size_t>(wanted ? std::atoi(wanted) : 227) << 10;
}
cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  if (used + bytes > limit()) return cudaErrorMemoryAllocation;
  *data = ::operator new (bytes, std::align_val_t{256});
  std::memset(*data, 0xff, bytes);
  blocks[*data] = bytes;
  used += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* data) {
  if (const auto it = blocks.find(data); it != blocks.end()) {
    used -= it->second;
    blocks.erase(it);
    ::operator delete (data, std::align_val_t{256});
  }
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = limit();
  *free = limit() - used;
  return cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorNoKernelImageForDevice: return "no kernel image is available for execution on the device";
    default: return "an error of the model";
  }
}
const char* cudaGetErrorName(cudaError_t error) { return cudaGetErrorString(error); }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  std::snprintf(p->name, sizeof p->name, "model on the CPU");
  p->major = cuda_model::refuses("architecture") ? 7 : 9;
  p->multiProcessorCount = 4;
  p->l2CacheSize = 1 << 20;
  p->totalGlobalMem = limit();
  p->sharedMemPerBlockOptin = cuda_model::shared_limit();
  return cudaSuccess;
}
