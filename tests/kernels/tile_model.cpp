#include "tile_model.hpp"

#include <sslcake/core/dtype.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace test {
namespace {

struct Tile {
  int rows = 0, bytes = 0;
  alignas(64) unsigned char data[16][64] = {};
};
struct State {
  bool configured = false;
  Tile tiles[8];
};
thread_local State state;
std::atomic<std::int64_t> products{0};

[[noreturn]] void fault(const std::string& what) { throw std::logic_error("[tile model] " + what); }

}  // namespace

void TileModel::misaligned() { fault("a store past the caches begins at no multiple of 32 bytes"); }

namespace {

Tile& tile(int index) {
  if (!state.configured) fault("tiles are used before they are configured");
  if (index < 0 || index > 7) fault("there is no tile " + std::to_string(index));
  Tile& t = state.tiles[index];
  if (t.rows == 0) fault("tile " + std::to_string(index) + " was configured without rows");
  return t;
}

bool is_denormal(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return (bits & 0x7f800000u) == 0 && (bits & 0x007fffffu) != 0;
}
float flushed(float value) { return is_denormal(value) ? std::copysign(0.0f, value) : value; }

float widened(const unsigned char* at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return flushed(std::bit_cast<float>(std::uint32_t{bits} << 16));
}

/// sums[n] += left[2k + n % 2] · right[k][n] for all k in order, each rounded once.
void add_products(int depth, const float* left, const float (*right)[32], float* sums) {
  for (int k = 0; k < depth; ++k)
    for (int n = 0; n < 32; ++n) sums[n] = flushed(std::fma(left[2 * k + n % 2], right[k][n], sums[n]));
}

/// The same, quickly: a product of two bfloat16 has 16 digits, so that float32 holds it exactly unless its exponent is out of
/// range. False where some number came near that, and the sums are worth nothing.
bool add_ordinary_products(int depth, const float* left, const float (*right)[32], float* sums) {
  std::uint32_t unusual = 0;
  for (int k = 0; k < depth; ++k)
    for (int n = 0; n < 32; ++n) {
      const float product = left[2 * k + n % 2] * right[k][n];
      sums[n] += product;
      // Zero, or an exponent far from both ends.
      const std::uint32_t p = std::bit_cast<std::uint32_t>(product) & 0x7fffffffu,
                          s = std::bit_cast<std::uint32_t>(sums[n]) & 0x7fffffffu;
      const std::uint32_t lost = p == 0 && left[2 * k + n % 2] != 0 && right[k][n] != 0;
      unusual |= lost | ((p - 1u) < 0x01000000u - 1u) | (p >= 0x7e000000u) | ((s - 1u) < 0x01000000u - 1u) | (s >= 0x7e000000u);
    }
  return unusual == 0;
}

}  // namespace

void TileModel::configure(const Config& config) {
  if (config.palette == 0) return release();
  if (config.palette != 1) fault("palette " + std::to_string(config.palette) + " is unknown");
  if (config.start_row != 0) fault("start_row is left out of this model");
  for (const auto byte : config.reserved)
    if (byte != 0) fault("reserved bytes are not zero");
  State fresh;
  for (int t = 0; t < 16; ++t) {
    const int rows = config.rows[t], bytes = config.row_bytes[t];
    if (t >= 8 && (rows != 0 || bytes != 0)) fault("there is no tile " + std::to_string(t));
    if (rows > 16 || bytes > 64) fault("a tile has at most 16 rows of 64 bytes");
    if ((rows == 0) != (bytes == 0)) fault("a tile has either rows or columns only");
    if (t < 8) fresh.tiles[t].rows = rows, fresh.tiles[t].bytes = bytes;
  }
  fresh.configured = true;
  state = fresh;
}

void TileModel::release() { state = State{}; }

void TileModel::zero(int index) {
  Tile& t = tile(index);
  std::memset(t.data, 0, sizeof t.data);
}

void TileModel::load(int index, const void* data, std::int64_t stride) {
  Tile& t = tile(index);
  std::memset(t.data, 0, sizeof t.data);
  for (int r = 0; r < t.rows; ++r)
    std::memcpy(t.data[r], static_cast<const unsigned char*>(data) + r * stride, static_cast<std::size_t>(t.bytes));
}

void TileModel::store(int index, void* data, std::int64_t stride) {
  const Tile& t = tile(index);
  for (int r = 0; r < t.rows; ++r)
    std::memcpy(static_cast<unsigned char*>(data) + r * stride, t.data[r], static_cast<std::size_t>(t.bytes));
}

void TileModel::multiply(int c_index, int a_index, int b_index) {
  Tile& c = tile(c_index);
  const Tile &a = tile(a_index), &b = tile(b_index);
  if (c_index == a_index || c_index == b_index || a_index == b_index) fault("a product needs three different tiles");
  if (c.bytes % 4 != 0 || a.bytes % 4 != 0 || b.bytes % 4 != 0) fault("a product needs rows of whole pairs");
  if (c.rows != a.rows || c.bytes != b.bytes || a.bytes / 4 != b.rows) fault("the shapes of a product do not fit together");
  const int depth = a.bytes / 4, columns = c.bytes / 4;
  float left[16][32] = {}, right[16][32] = {};
  for (int r = 0; r < a.rows; ++r)
    for (int k = 0; k < 2 * depth; ++k) left[r][k] = widened(a.data[r] + 2 * k);
  for (int k = 0; k < depth; ++k)
    for (int n = 0; n < 2 * columns; ++n) right[k][n] = widened(b.data[k] + 2 * n);
  for (int m = 0; m < c.rows; ++m) {
    float sums[32] = {};
    if (!add_ordinary_products(depth, left[m], right, sums)) {
      std::fill_n(sums, 32, 0.0f);
      add_products(depth, left[m], right, sums);
    }
    for (int n = 0; n < columns; ++n) {
      float before;
      std::memcpy(&before, c.data[m] + 4 * n, sizeof before);
      const float after = flushed(flushed(before) + flushed(sums[2 * n] + sums[2 * n + 1]));
      std::memcpy(c.data[m] + 4 * n, &after, sizeof after);
    }
    std::memset(c.data[m] + c.bytes, 0, sizeof c.data[m] - static_cast<std::size_t>(c.bytes));
  }
  products.fetch_add(1, std::memory_order_relaxed);
}

bool TileModel::configured() { return state.configured; }
std::int64_t TileModel::multiplies() { return products.load(); }

}  // namespace test
