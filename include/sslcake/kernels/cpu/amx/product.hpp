// The innermost loop of all AMX kernels: a block of 32x32 results in four tiles, two tiles of each factor per step along the
// sum. Read once per tile policy, see pack.hpp.
//
// Counted, not measured (this text has not run on hardware): a step is 32 long and makes 4 products from 4 loads,
// 32·32·32 = 32,768 multiply-adds from 4 KB. TDPBF16PS starts every 16 cycles, so a step takes at least 64; TILELOADD starts
// every 8, so the loads take 32 and hide behind the products if they hit the first cache. From the second they would need 64
// bytes per cycle, which is all that it promises: one of the factors must come from the first. Hence blocks of `most_steps` along
// the sum: a panel of the right factor is 2 KB · 12 = 24 KB and serves all blocks of a part, the left factor streams from the
// second cache at 32 bytes per cycle. Between blocks the sums go through memory, 8 KB for every 12 · 64 cycles: 11 bytes per
// cycle more. (Intel 64 and IA-32 Architectures Optimization Reference Manual, chapter on AMX.)
#if defined(SSLCAKE_TILES_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_TILES_NAMESPACE {

inline constexpr std::int64_t most_steps = 12;

/// One step: where its tiles begin, in bytes.
struct Step {
  std::int64_t a, b;
};

/// Tiles of the left factor (16 results x 32 numbers) and of the right one (16 pairs x 16 results): bytes from row to row,
/// and to the block's second tile.
struct Factors {
  const bfloat16 *a, *b;
  std::int64_t a_row, a_next, b_row, b_next;
};

/// sums[m][n] (tiles of 16x16, of which M x N are wanted) = or += the products of all steps.
template <int M, int N>
SSLCAKE_NOINLINE void run_block(const Step* step, std::int64_t count, const Factors& at, float* sums, bool accumulate) {
  using Tiles = SSLCAKE_TILES_POLICY;
  if (accumulate) {
    Tiles::load<0>(sums, 64);
    if constexpr (N == 2) Tiles::load<1>(sums + 256, 64);
    if constexpr (M == 2) Tiles::load<2>(sums + 512, 64);
    if constexpr (M == 2 && N == 2) Tiles::load<3>(sums + 768, 64);
  } else {
    Tiles::zero<0>();
    if constexpr (N == 2) Tiles::zero<1>();
    if constexpr (M == 2) Tiles::zero<2>();
    if constexpr (M == 2 && N == 2) Tiles::zero<3>();
  }
  const char *a = reinterpret_cast<const char*>(at.a), *b = reinterpret_cast<const char*>(at.b);
  const std::int64_t a_row = at.a_row, a_next = at.a_next, b_row = at.b_row, b_next = at.b_next;
  for (const Step* end = step + count; step != end; ++step) {
    const char *left = a + step->a, *right = b + step->b;
    Tiles::load<6>(right, b_row);
    Tiles::load<4>(left, a_row);
    Tiles::multiply<0, 4, 6>();
    if constexpr (N == 2) {
      Tiles::load<7>(right + b_next, b_row);
      Tiles::multiply<1, 4, 7>();
    }
    if constexpr (M == 2) {
      Tiles::load<5>(left + a_next, a_row);
      Tiles::multiply<2, 5, 6>();
    }
    if constexpr (M == 2 && N == 2) Tiles::multiply<3, 5, 7>();
  }
  Tiles::store<0>(sums, 64);
  if constexpr (N == 2) Tiles::store<1>(sums + 256, 64);
  if constexpr (M == 2) Tiles::store<2>(sums + 512, 64);
  if constexpr (M == 2 && N == 2) Tiles::store<3>(sums + 768, 64);
}

/// The same for the tiles that `rows` x `columns` results (of 32 x 32) need.
inline void run_block(std::int64_t rows, std::int64_t columns, const Step* step, std::int64_t count, const Factors& at,
                      float* sums, bool accumulate) {
  if (rows > 16 && columns > 16) return run_block<2, 2>(step, count, at, sums, accumulate);
  if (rows > 16) return run_block<2, 1>(step, count, at, sums, accumulate);
  if (columns > 16) return run_block<1, 2>(step, count, at, sums, accumulate);
  run_block<1, 1>(step, count, at, sums, accumulate);
}

/// Where result (r, c) of a block stands among its sums.
inline std::int64_t place(std::int64_t r, std::int64_t c) { return r / 16 * 512 + c / 16 * 256 + r % 16 * 16 + c % 16; }

}  // namespace sslcake::inline v0::kernels::SSLCAKE_TILES_NAMESPACE

#endif
