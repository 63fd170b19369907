#include <doctest/doctest.h>

#include <sslcake/core/error.hpp>
#include <sslcake/kernels/cpu/isa.hpp>
#include <sslcake/kernels/cpu/variant.hpp>
#include <sslcake/kernels/gemm.hpp>

#include <cstdlib>
#include <string>
#include <vector>

#include "variants.hpp"

using namespace sslcake::kernels;

TEST_CASE("isa: reference and portable run everywhere; the choice is one that this CPU supports") {
  CHECK(supports(Isa::reference));
  CHECK(supports(Isa::portable));
  CHECK(supports(isa()));
  if (!std::getenv("SSLCAKE_KERNELS"))  // then the last of those that are supported
    for (const Isa one : {Isa::avx2, Isa::avx512, Isa::avx512bf16, Isa::amx}) CHECK((one <= isa() || !supports(one)));
  CHECK(std::string(name_of(Isa::avx512)) == "avx512");
  CHECK(std::string(name_of(Isa::amx)) == "amx");
}

TEST_CASE("isa: a variant can be chosen, and the public functions follow; one that the CPU lacks is refused") {
  const Isa before = isa();
  std::vector<const Variant*> tables;
  for (const Isa one : {Isa::reference, Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512bf16, Isa::amx}) {
    CAPTURE(name_of(one));
    if (!supports(one)) {
      CHECK_THROWS_WITH_AS(set_isa(one), doctest::Contains("possible here: reference, portable"), sslcake::Error);
      CHECK(isa() == before);
      continue;
    }
    set_isa(one);
    CHECK(isa() == one);
    const Variant* chosen = &variant();
    for (const Variant* other : tables) CHECK(chosen != other);  // each has a table of its own
    tables.push_back(chosen);
    CHECK((chosen->conv2d_winograd == nullptr) == (one == Isa::reference));
    CHECK((chosen->conv2d_pairs != nullptr) == (one == Isa::avx512bf16 || one == Isa::amx));
    for (const auto& known : test::variants())
      if (name_of(one) == std::string(known.name) && one != Isa::reference && one != Isa::avx512) CHECK(chosen == known.kernels);
    const float a[2] = {2, 3};
    float c = 0;
    gemm(false, false, 1, 1, 2, a, 2, a, 1, &c, 1);
    CHECK(c == 13.0f);
    set_isa(before);
  }
}
