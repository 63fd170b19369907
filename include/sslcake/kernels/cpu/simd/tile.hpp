// The innermost loops of all products and convolutions, in GCC's and Clang's common vector language. This text has no
// include guard on purpose: it is read once per instruction set, with
//
//   SSLCAKE_SIMD_NAMESPACE   the namespace of that instruction set
//   SSLCAKE_SIMD_TARGET      its target attribute, written on every function that touches vectors
//   SSLCAKE_SIMD_LANES       floats per vector
//   SSLCAKE_SIMD_ROWS        rows of a tile
//   SSLCAKE_SIMD_PAIRS       optional: the target attribute of products of bfloat16 pairs; and SSLCAKE_SIMD_PAIRS_ASM, 1 if
//                            there is an instruction for them, 0 if it is written out (for tests)
//
// Rules that keep one program safe on every CPU: whatever touches vectors carries the attribute and lives in that
// namespace, no lambda stands inside such a function (it would lose the attribute), and no vector crosses a call.
#if defined(SSLCAKE_SIMD_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

inline constexpr int lanes = SSLCAKE_SIMD_LANES;
inline constexpr int tile_rows = SSLCAKE_SIMD_ROWS;
inline constexpr int tile_columns = 2 * lanes;

typedef float Vector __attribute__((vector_size(4 * lanes)));
typedef float UnalignedVector __attribute__((vector_size(4 * lanes), aligned(4), may_alias));

/// A tile of results: `rows` x `columns` numbers that stay in registers while the sum over k runs.
///
/// Its left factor is given by pointers, one per row, each to numbers that are contiguous along k. In a convolution the
/// rows are pixels, and every tap of the kernel shifts all pointers by the same distance ("indirect" convolution:
/// Dukhan, 2019, arXiv 1907.02129), so that no patch is ever copied; a plain product has one tap.
struct TileInput {
  const float* const* rows;     // one pointer per row
  const detail::TapStep* taps;  // by how much each tap shifts them, and which block of the right factor it meets
  std::int64_t tap_count;
  std::int64_t offset;          // where on each row to start
  std::int64_t depth;           // steps along k per tap
  const float* b;               // right factor: tile_columns (or lanes) contiguous numbers per step
  std::int64_t b_tap, b_step;   // distance between its blocks and between its steps
};

/// The same tile for a left factor whose R numbers of one step lie side by side, as in weight gradients, which sum over
/// pixels: pair i multiplies R contiguous numbers of `a`, at pixel pairs[2i], by V vectors of `b`, at pixel pairs[2i+1].
struct OuterInput {
  const std::int32_t* pairs;  // null: (0,0), (1,1), ...
  std::int64_t count;
  const float *a, *b;
  std::int64_t b_step, a_step = tile_rows;  // from pixel to pixel
};

/// The tiles by the type of the left factor's numbers: float, or pairs of bfloat16.
template <bool pairs>
struct Tiles;

#define SSLCAKE_TILE_PAIRS 0
#define SSLCAKE_TILE_TARGET SSLCAKE_SIMD_TARGET
#include "tile_loops.hpp"
#if defined(SSLCAKE_SIMD_PAIRS)
#define SSLCAKE_TILE_PAIRS 1
#define SSLCAKE_TILE_TARGET SSLCAKE_SIMD_PAIRS
#include "tile_loops.hpp"
#endif

/// The plain tile, for those who have whole ones.
template <int R, int V>
void tile(const TileInput& in, float* const* out, bool accumulate) {
  Tiles<false>::run<R, V>(in, out, accumulate);
}

/// A tile whose edges may stick out: `rows` of R and `columns` of V·lanes are wanted, the rest goes to scratch memory.
class EdgeTile {
 public:
  EdgeTile(float* const* rows, std::int64_t column, int count, int width, int padded_width, bool accumulate)
      : count_(count), width_(width), whole_(width == padded_width) {
    for (int r = 0; r < tile_rows; ++r) {
      float* spare = scratch_ + r * tile_columns;
      target_[r] = r < count ? rows[r] + column : spare;
      pointer_[r] = whole_ ? target_[r] : spare;
    }
    if (!accumulate || (whole_ && count == tile_rows)) return;
    std::memset(scratch_, 0, sizeof scratch_);  // spare rows are added to as well: not to whatever lay there
    for (int r = 0; r < (whole_ ? 0 : count); ++r)
      for (int j = 0; j < width; ++j) pointer_[r][j] = target_[r][j];
  }
  float* const* rows() const { return pointer_; }
  void finish() {
    for (int r = 0; r < (whole_ ? 0 : count_); ++r)
      for (int j = 0; j < width_; ++j) target_[r][j] = pointer_[r][j];
  }

 private:
  alignas(64) float scratch_[tile_rows * tile_columns];
  float* target_[tile_rows];
  float* pointer_[tile_rows];
  int count_, width_;
  bool whole_;
};

/// A tile without such edges, as most are.
template <bool pairs, class Input>
void run_whole(const Input& in, float* const* rows, std::int64_t column, bool accumulate) {
  float* out[tile_rows];
  for (int r = 0; r < tile_rows; ++r) out[r] = rows[r] + column;
  Tiles<pairs>::template run<tile_rows, 2>(in, out, accumulate);
}

/// Calls the smallest tile there is for `count` rows (at least 1, at most tile_rows) and `width` columns. All tile_rows
/// rows of the left factor must be readable.
template <bool pairs = false>
void run_tile(const TileInput& in, float* const* rows, std::int64_t column, int count, int width, bool accumulate) {
  using T = Tiles<pairs>;
  if (count == tile_rows && width == tile_columns) return run_whole<pairs>(in, rows, column, accumulate);
  const bool narrow = width <= lanes;
  EdgeTile edge(rows, column, count, width, narrow ? lanes : tile_columns, accumulate);
  float* const* out = edge.rows();
  if (narrow) {
    if (count > 4) T::template run<tile_rows, 1>(in, out, accumulate);
    else if (count > 2) T::template run<4, 1>(in, out, accumulate);
    else if (count > 1) T::template run<2, 1>(in, out, accumulate);
    else T::template run<1, 1>(in, out, accumulate);
  } else {
    if (count > 4) T::template run<tile_rows, 2>(in, out, accumulate);
    else if (count > 2) T::template run<4, 2>(in, out, accumulate);
    else if (count > 1) T::template run<2, 2>(in, out, accumulate);
    else T::template run<1, 2>(in, out, accumulate);
  }
  edge.finish();
}

template <bool pairs = false>
void run_outer_tile(const OuterInput& in, float* const* rows, std::int64_t column, int count, int width, bool accumulate) {
  using T = Tiles<pairs>;
  if (count == tile_rows && width == tile_columns) return run_whole<pairs>(in, rows, column, accumulate);
  const bool narrow = width <= lanes;
  EdgeTile edge(rows, column, count, width, narrow ? lanes : tile_columns, accumulate);
  float* const* out = edge.rows();
  if (narrow) {
    if (count > 4) T::template run<tile_rows, 1>(in, out, accumulate);
    else T::template run<4, 1>(in, out, accumulate);
  } else {
    if (count > 4) T::template run<tile_rows, 2>(in, out, accumulate);
    else T::template run<4, 2>(in, out, accumulate);
  }
  edge.finish();
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
