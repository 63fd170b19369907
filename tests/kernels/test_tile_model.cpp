// The portable model of AMX's tiles: sums by hand, what lies outside of a shape, denormals, and every misuse that the
// processor answers with a fault. And the hardware's functions: the bytes that they assemble to, without running them; their
// results beside the model's where the CPU has AMX.
#include <doctest/doctest.h>

#include <sslcake/core/dtype.hpp>
#include <sslcake/kernels/cpu/isa.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "tile_model.hpp"
#include "variants.hpp"

using sslcake::bfloat16;
using test::TileModel;
using Config = TileModel::Config;
namespace amx = sslcake::kernels::amx;

namespace {

struct Released {
  ~Released() { TileModel::release(); }
};

/// Tile 0: rows x columns sums; 1: rows x 2·depth numbers; 2: depth x 2·columns.
Config shaped(int rows, int columns, int depth) {
  Config config;
  config.rows[0] = config.rows[1] = static_cast<std::uint8_t>(rows), config.rows[2] = static_cast<std::uint8_t>(depth);
  config.row_bytes[0] = config.row_bytes[2] = static_cast<std::uint16_t>(4 * columns);
  config.row_bytes[1] = static_cast<std::uint16_t>(4 * depth);
  return config;
}

std::vector<bfloat16> halves(std::initializer_list<float> values) {
  std::vector<bfloat16> out;
  for (const float v : values) out.push_back(bfloat16(v));
  return out;
}

/// c + a·b for one pair.
float pair(float c, float a0, float a1, float b0, float b1) {
  const Released released;
  TileModel::configure(shaped(1, 1, 1));
  const auto a = halves({a0, a1}), b = halves({b0, b1});
  TileModel::load<0>(&c, 64);
  TileModel::load<1>(a.data(), 64);
  TileModel::load<2>(b.data(), 64);
  TileModel::multiply<0, 1, 2>();
  TileModel::store<0>(&c, 64);
  return c;
}

}  // namespace

TEST_CASE("tile model: a product by hand") {
  const Released released;
  TileModel::configure(shaped(2, 2, 2));
  const auto a = halves({1, 2, 3, 4, /**/ 5, 6, 7, 8});
  // Column 0 is 1 10 100 1000, column 1 is -1 0 2 0.5.
  const auto b = halves({1, 10, -1, 0, /**/ 100, 1000, 2, 0.5f});
  float c[2][3] = {{1, 2, -7}, {3, 4, -7}};
  TileModel::load<0>(c, sizeof c[0]);
  TileModel::load<1>(a.data(), 8);
  TileModel::load<2>(b.data(), 8);
  TileModel::multiply<0, 1, 2>();
  TileModel::store<0>(c, sizeof c[0]);
  CHECK(c[0][0] == 1 + 1 + 20 + 300 + 4000);
  CHECK(c[0][1] == 2 - 1 + 6 + 2);
  CHECK(c[1][0] == 3 + 5 + 60 + 700 + 8000);
  CHECK(c[1][1] == 4 - 5 + 14 + 4);
  CHECK(c[0][2] == -7);  // a store touches the tile's columns only
}

TEST_CASE("tile model: what lies outside of a tile's shape is zero, whatever it held before") {
  const Released released;
  float full[16][16], seen[16][16];
  for (auto& row : full)
    for (float& v : row) v = 3;
  Config small = shaped(3, 2, 1);
  TileModel::configure(small);
  TileModel::load<0>(full, 64);
  std::memset(seen, 0xff, sizeof seen);
  TileModel::store<0>(seen, 64);
  CHECK(seen[2][1] == 3);
  CHECK(std::isnan(seen[2][2]));
  CHECK(std::isnan(seen[3][0]));
  TileModel::configure(Config::whole());  // configuring clears
  TileModel::store<0>(seen, 64);
  CHECK(seen[0][0] == 0);
  TileModel::load<0>(full, 64);
  TileModel::zero<0>();
  TileModel::store<0>(seen, 64);
  CHECK(seen[15][15] == 0);
}

TEST_CASE("tile model: rounding, denormals, infinity") {
  CHECK(pair(1, 2, 3, 5, 7) == 32);
  // Even and odd sums are added to each other first: 2^24 + (1 + 1) is exact where (2^24 + 1) + 1 would lose both.
  CHECK(pair(16777216.0f, 1, 1, 1, 1) == 16777218.0f);
  CHECK(pair(16777216.0f, 1, 0, 1, 0) == 16777216.0f);  // ties to even
  CHECK(pair(16777218.0f, 1, 0, 1, 0) == 16777220.0f);
  const float tiny = std::ldexp(1.0f, -127), least = std::ldexp(1.0f, -126);
  CHECK(pair(0, tiny, 0, 4, 0) == 0);                      // a denormal factor
  CHECK(pair(tiny, 0, 0, 0, 0) == 0);                      // a denormal sum before
  CHECK(pair(0, least, 0, 0.5f, 0) == 0);                  // a denormal result
  CHECK(pair(0, least, 0, 1, 0) == least);
  CHECK(pair(least * 1.5f, -least, 0, 1, 0) == 0);
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(pair(0, inf, 0, 1, 0) == inf);
  CHECK(std::isnan(pair(0, inf, 0, 0, 0)));
  CHECK(std::isnan(pair(0, 1, 1, inf, -inf)));
  CHECK(pair(0, 3e38f, 0, 4, 0) == inf);
}

TEST_CASE("tile model: whole tiles, with exponents of every size, against sums of single steps") {
  sslcake::Random random(3, sslcake::Purpose::test);
  for (const int spread : {2, 60, 120}) {
    const auto number = [&] { return std::ldexp(random.normal(), static_cast<int>(test::between(random, -spread, spread))); };
    std::vector<bfloat16> a, b;
    for (int i = 0; i < 512; ++i) a.push_back(bfloat16(number())), b.push_back(bfloat16(number()));
    std::vector<float> c(256, 0.0f);
    {
      const amx::ConfiguredTiles<TileModel> tiles;
      TileModel::load<4>(a.data(), 64);
      TileModel::load<6>(b.data(), 64);
      TileModel::zero<0>();
      TileModel::multiply<0, 4, 6>();
      TileModel::store<0>(c.data(), 64);
    }
    const auto plain = [](float v) { return std::abs(v) < std::numeric_limits<float>::min() ? 0.0f : v; };
    bool same = true;
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 16; ++n) {
        float sums[2] = {};
        for (int k = 0; k < 32; ++k)
          sums[k % 2] =
              plain(std::fma(plain(static_cast<float>(a[static_cast<std::size_t>(32 * m + k)])),
                             plain(static_cast<float>(b[static_cast<std::size_t>(k / 2 * 32 + 2 * n + k % 2)])), sums[k % 2]));
        const float wanted = plain(sums[0] + sums[1]), got = c[static_cast<std::size_t>(16 * m + n)];
        same = same && (wanted == got || (std::isnan(wanted) && std::isnan(got)));
      }
    CHECK(same);
  }
}

TEST_CASE("tile model: misuse throws") {
  const Released released;
  float memory[256] = {};
  TileModel::release();
  CHECK(!TileModel::configured());
  CHECK_THROWS_AS(TileModel::zero<0>(), std::logic_error);
  CHECK_THROWS_AS(TileModel::load<0>(memory, 64), std::logic_error);
  Config config = Config::whole();
  config.palette = 2;
  CHECK_THROWS_AS(TileModel::configure(config), std::logic_error);
  config = Config::whole(), config.rows[3] = 17;
  CHECK_THROWS_AS(TileModel::configure(config), std::logic_error);
  config = Config::whole(), config.row_bytes[3] = 0;
  CHECK_THROWS_AS(TileModel::configure(config), std::logic_error);
  config = Config::whole(), config.rows[8] = 1, config.row_bytes[8] = 4;
  CHECK_THROWS_AS(TileModel::configure(config), std::logic_error);
  config = Config::whole(), config.reserved[5] = 1;
  CHECK_THROWS_AS(TileModel::configure(config), std::logic_error);
  CHECK(!TileModel::configured());
  TileModel::configure(shaped(3, 2, 4));
  CHECK_THROWS_AS(TileModel::load(8, memory, 64), std::logic_error);
  CHECK_THROWS_AS(TileModel::load(-1, memory, 64), std::logic_error);
  CHECK_THROWS_AS(TileModel::store<5>(memory, 64), std::logic_error);  // without rows
  TileModel::multiply<0, 1, 2>();
  CHECK_THROWS_AS(TileModel::multiply(0, 2, 1), std::logic_error);
  CHECK_THROWS_AS(TileModel::multiply(0, 1, 1), std::logic_error);
  config = Config{};
  config.palette = 0;
  TileModel::configure(config);
  CHECK_THROWS_AS(TileModel::multiply(0, 1, 2), std::logic_error);
}

#if SSLCAKE_X86
namespace {
using Hardware = amx::HardwareTiles;
// Never called without AMX: looked at.
SSLCAKE_NOINLINE void configure_and_release(const Config& config) {
  Hardware::configure(config);
  Hardware::release();
}
SSLCAKE_NOINLINE void every_register(const void* from, std::int64_t stride, void* to) {
  Hardware::zero<3>();
  Hardware::load<5>(from, stride);
  Hardware::store<7>(to, stride);
  Hardware::multiply<1, 4, 6>();
  Hardware::multiply<7, 0, 2>();
}
/// Whether `bytes` stand in the first 400 of a function, registers for addresses being the compiler's choice (0x100: any).
template <class Function>
bool has(Function* function, std::vector<int> bytes) {
  const auto* code = reinterpret_cast<const unsigned char*>(function);
  for (std::size_t at = 0; at + bytes.size() < 400; ++at) {
    bool same = true;
    for (std::size_t i = 0; i < bytes.size(); ++i) same = same && (bytes[i] == 0x100 || code[at + i] == bytes[i]);
    if (same) return true;
  }
  return false;
}
}  // namespace

TEST_CASE("hardware tiles: the encodings of Intel's SDM") {
  // VEX.128 map 0F38: C4, R̄X̄B̄ 00010, W v̄v̄v̄v̄ L pp, opcode, ModRM.
  const auto zero_3 = {0xc4, 0xe2, 0x7b, 0x49, 0xd8};           // F2 49 11:011:000
  const auto multiply_1_4_6 = {0xc4, 0xe2, 0x4a, 0x5c, 0xcc};   // F3 5C 11:001:100, vvvv 6
  const auto multiply_7_0_2 = {0xc4, 0xe2, 0x6a, 0x5c, 0xf8};   // F3 5C 11:111:000, vvvv 2
  const auto release = {0xc4, 0xe2, 0x78, 0x49, 0xc0};          // no prefix, 49 11:000:000
  CHECK(has(every_register, zero_3));
  CHECK(has(every_register, multiply_1_4_6));
  CHECK(has(every_register, multiply_7_0_2));
  CHECK(has(configure_and_release, release));
  CHECK(has(every_register, {0xc4, 0x100, 0x7b, 0x4b, 0x2c}));  // F2 4B !(11):101:100
  CHECK(has(every_register, {0xc4, 0x100, 0x7a, 0x4b, 0x3c}));  // F3 4B !(11):111:100
  CHECK(has(configure_and_release, {0xc4, 0x100, 0x78, 0x49}));
}

TEST_CASE("hardware tiles: the bits of the model") {
  if (!supports(sslcake::kernels::Isa::amx)) {
    MESSAGE("skipped: this CPU (or its operating system) has no AMX");
    return;
  }
  sslcake::Random random(1, sslcake::Purpose::test);
  std::vector<bfloat16> a, b;
  for (const float v : test::reals(random, 512)) a.push_back(bfloat16(v));
  for (const float v : test::reals(random, 512)) b.push_back(bfloat16(v));
  a[7] = bfloat16(std::ldexp(1.0f, -130)), a[40] = bfloat16(std::ldexp(1.0f, -100)), b[40] = bfloat16(std::ldexp(1.0f, -60));
  std::vector<float> c = test::reals(random, 256), modelled = c;
  {
    const amx::ConfiguredTiles<Hardware> tiles;
    Hardware::load<0>(c.data(), 64);
    Hardware::load<4>(a.data(), 64);
    Hardware::load<6>(b.data(), 64);
    Hardware::multiply<0, 4, 6>();
    Hardware::multiply<0, 4, 6>();
    Hardware::store<0>(c.data(), 64);
  }
  {
    const amx::ConfiguredTiles<TileModel> tiles;
    TileModel::load<0>(modelled.data(), 64);
    TileModel::load<4>(a.data(), 64);
    TileModel::load<6>(b.data(), 64);
    TileModel::multiply<0, 4, 6>();
    TileModel::multiply<0, 4, 6>();
    TileModel::store<0>(modelled.data(), 64);
  }
  CHECK(c == modelled);
}
#endif
