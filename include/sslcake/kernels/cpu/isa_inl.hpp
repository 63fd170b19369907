#pragma once

#include <atomic>
#include <cstdlib>
#include <string>

#include "../../core/error.hpp"
#include "isa.hpp"

namespace sslcake::inline v0::kernels {
namespace detail {

inline constexpr Isa every_isa[] = {Isa::reference, Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512bf16};

inline std::string supported_names() {
  std::string names;
  for (const Isa one : every_isa)
    if (supports(one)) names += std::string(names.empty() ? "" : ", ") + name_of(one);
  return names;
}

/// The best variant, or what the environment asks for.
inline Isa first_choice() {
  const char* wanted = std::getenv("SSLCAKE_KERNELS");
  Isa best = Isa::reference;
  for (const Isa one : every_isa) {
    if (wanted && wanted == std::string(name_of(one))) {
      if (supports(one)) return one;
      fail("kernels", "SSLCAKE_KERNELS asks for ", wanted, ", which this CPU lacks; possible here: ", supported_names());
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
#else
    default: break;
#endif
  }
  return false;
}

SSLCAKE_INLINE Isa isa() { return detail::current_isa().load(std::memory_order_relaxed); }

SSLCAKE_INLINE void set_isa(Isa isa) {
  if (!supports(isa))
    fail("set_isa", "this CPU lacks ", isa, "; possible here: ", detail::supported_names());
  detail::current_isa().store(isa, std::memory_order_relaxed);
}

}  // namespace sslcake::inline v0::kernels
