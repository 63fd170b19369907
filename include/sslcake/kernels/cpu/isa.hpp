// Which instruction set the kernels use: looked up once, at run time, from what the CPU can do.
#pragma once

#include <cstdint>

#include "../../core/config.hpp"

namespace sslcake::inline v0::kernels {

/// The variants there are, slowest first.
enum class Isa : std::uint8_t {
  reference,   // plain code, on Eigen where SSLCAKE_EIGEN: the teaching text
  portable,    // the tuned text on 16-byte vectors, which every x86-64 and AArch64 CPU has
  avx2,        // the tuned text on 32-byte vectors with fused multiply-add
  avx512,      // the tuned text on 64-byte vectors
  avx512bf16,  // the same, with products of bfloat16 pairs
  amx,         // AVX-512, with convolutions of bfloat16 on tiles
};

constexpr const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::reference: return "reference";
    case Isa::portable: return "portable";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::avx512bf16: return "avx512bf16";
    case Isa::amx: return "amx";
  }
  return "?";
}

/// Whether this CPU (and operating system) can run the variant. Of Linux, which hands out the tiles of AMX on request
/// only, they are requested by the first call that asks; the answer is kept.
bool supports(Isa isa);

/// The variant in use: the best that the CPU supports, or the one that the environment variable SSLCAKE_KERNELS
/// names (reference, portable, avx2, avx512, avx512bf16, amx). Throws Error where that names none or one that is not supported.
Isa isa();

/// Chooses another one, for tests and comparisons; throws Error if the CPU lacks it. Not while kernels are running.
void set_isa(Isa isa);

}  // namespace sslcake::inline v0::kernels

#ifndef SSLCAKE_COMPILED
#include "isa_inl.hpp"
#endif
