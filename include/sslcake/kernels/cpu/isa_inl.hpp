#pragma once

#include <atomic>
#include <cstdlib>
#include <string>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

#include "../../core/error.hpp"
#include "isa.hpp"

namespace sslcake::inline v0::kernels {
namespace detail {

inline constexpr Isa every_isa[] = {Isa::reference, Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512bf16, Isa::amx};

inline std::string supported_names() {
  std::string names;
  for (const Isa one : every_isa)
    if (supports(one)) names += std::string(names.empty() ? "" : ", ") + name_of(one);
  return names;
}

/// AMX's tiles and their bfloat16 product: the CPU has them, and the system lets this process use them.
inline bool has_tiles() {
#if SSLCAKE_X86 && defined(__linux__) && defined(__LP64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned system_saves = 1u << 27, tile_product = 1u << 22, tiles = 1u << 24;  // leaf 1 ECX; leaf 7 EDX, twice
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & system_saves)) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & tile_product) || !(d & tiles)) return false;
  constexpr unsigned tile_state = 3u << 17;  // configuration and data, as XCR0 numbers them
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & tile_state) != tile_state) return false;
  // Tile data makes a thread's saved state 8 KB larger, so Linux (since 5.16) grants it to processes that ask, for all of
  // their threads, and stops those that use it without. It refuses where a thread's alternate signal stack is too small.
  constexpr long request_permission = 0x1023, tile_data = 18;
  long answer = 158;  // arch_prctl; asked without the C library, whose headers would come into every program
  __asm__ volatile("syscall" : "+a"(answer) : "D"(request_permission), "S"(tile_data) : "rcx", "r11", "memory");
  return answer == 0;
#else
  return false;
#endif
}

/// The best variant, or what the environment asks for.
inline Isa first_choice() {
  const char* wanted = std::getenv("SSLCAKE_KERNELS");
  Isa best = Isa::reference;
  for (const Isa one : every_isa) {
    if (wanted && wanted == std::string(name_of(one))) {
      if (supports(one)) return one;
      fail("kernels", "SSLCAKE_KERNELS asks for ", wanted,
           ", which this CPU or its operating system does not offer; possible here: ", supported_names());
    }
    if (supports(one)) best = one;
  }
  if (wanted && *wanted)
    fail("kernels", "SSLCAKE_KERNELS names no kernel variant: \"", wanted, "\"; possible here: ", supported_names());
  return best;
}

inline std::atomic<Isa>& current_isa() {
  static std::atomic<Isa> current{first_choice()};  // an error is thrown again by every call
  return current;
}

}  // namespace detail

SSLCAKE_INLINE bool supports(Isa isa) {
  switch (isa) {
    case Isa::reference:
    case Isa::portable: return true;
#if SSLCAKE_X86
    // __builtin_cpu_supports also asks whether the operating system saves the wide registers.
    case Isa::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512: return __builtin_cpu_supports("avx512f");
    case Isa::avx512bf16: return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16");
    case Isa::amx: {
      static const bool tiles = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16") && detail::has_tiles();
      return tiles;
    }
#else
    default: break;
#endif
  }
  return false;
}

SSLCAKE_INLINE Isa isa() { return detail::current_isa().load(std::memory_order_relaxed); }

SSLCAKE_INLINE void set_isa(Isa isa) {
  if (!supports(isa))
    fail("set_isa", "this CPU or its operating system does not offer ", isa, "; possible here: ", detail::supported_names());
  detail::current_isa().store(isa, std::memory_order_relaxed);
}

}  // namespace sslcake::inline v0::kernels
