// Every variant of the kernels that this machine can run, and one that only tests know: the AVX-512 text (16 lanes)
// compiled for AVX2, where the compiler splits each vector in two. It runs that text's packing, remainders and tile
// sizes on machines without AVX-512.
#pragma once

#include <doctest/doctest.h>

#include <sslcake/core/random.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/kernels/cpu/isa.hpp>
#include <sslcake/kernels/cpu/reference.hpp>
#include <sslcake/kernels/cpu/variant.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "../worse.hpp"

namespace test {

using sslcake::kernels::ConvShape;
using sslcake::kernels::Variant;

struct NamedVariant {
  const char* name;
  const Variant* kernels;
};
std::vector<NamedVariant> variants();

inline constexpr sslcake::kernels::Isa every_isa[] = {sslcake::kernels::Isa::reference, sslcake::kernels::Isa::portable,
                                                    sslcake::kernels::Isa::avx2, sslcake::kernels::Isa::avx512,
                                                    sslcake::kernels::Isa::avx512bf16, sslcake::kernels::Isa::amx};
/// Runs body() under each instruction set that this machine has.
template <class Body>
void for_each_isa(Body body) {
  const auto before = sslcake::kernels::isa();
  for (const auto isa : every_isa) {
    if (!sslcake::kernels::supports(isa)) continue;
    sslcake::kernels::set_isa(isa);
    INFO(std::string(name_of(isa)));
    body();
  }
  sslcake::kernels::set_isa(before);
}

/// Sets the number of threads and puts it back at the end of the scope.
struct Threads {
  explicit Threads(int n) : before(sslcake::threads()) { sslcake::set_threads(n); }
  ~Threads() { sslcake::set_threads(before); }
  int before;
};

/// Small integers, whose products and sums of some thousands are exact in float32: every order gives the same bits.
inline std::vector<float> integers(sslcake::Random& random, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = static_cast<float>(random.below(9)) - 4.0f;
  return values;
}
inline std::vector<float> reals(sslcake::Random& random, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = random.normal();
  return values;
}
inline std::vector<double> widen(const std::vector<float>& values) { return {values.begin(), values.end()}; }

/// Number in [low, high].
inline std::int64_t between(sslcake::Random& random, std::int64_t low, std::int64_t high) {
  return low + random.below(static_cast<std::uint32_t>(high - low + 1));
}

}  // namespace test
