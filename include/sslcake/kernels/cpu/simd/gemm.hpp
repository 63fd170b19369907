// C = op(A)·op(B), blocked for the caches (Goto and van de Geijn, "Anatomy of high-performance matrix
// multiplication", 2008): a panel of B, tile_columns wide and `block_depth` deep, stays in the first cache while all
// rows of a block of A pass by; a block of A stays in the second. B is copied into panels. A's rows are read where they
// lie; those of a transposed A, which lie side by side, are copied in strips of tile_rows. Read once per instruction set,
// see tile.hpp.
#if defined(SSLCAKE_SIMD_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

/// Steps along k for which a panel of the right factor (16 KB) stays in the first cache.
inline constexpr std::int64_t block_depth = 4096 / tile_columns;

/// Width of panel j of n columns as it is stored: two vectors, or one where the rest fits into one.
inline std::int64_t panel_width(std::int64_t n, std::int64_t panel) {
  return n - panel * tile_columns > lanes ? tile_columns : lanes;
}

/// Copies rows [0, k) of columns [0, n), n <= width, to contiguous rows of `width` numbers, zeros behind column n.
/// Either the rows or the columns of b are contiguous.
inline void pack_panel(detail::View b, std::int64_t k, std::int64_t n, std::int64_t width, float* out) {
  if (b.column == 1) {
    for (std::int64_t p = 0; p < k; ++p, out += width) {
      const float* from = b.data + p * b.row;
      if (n == tile_columns) std::memcpy(out, from, sizeof(float) * tile_columns);
      else
        for (std::int64_t j = 0; j < width; ++j) out[j] = j < n ? from[j] : 0.0f;
    }
    return;
  }
  detail::transpose(b.data, b.column, n, k, out, width);
  for (std::int64_t p = 0; p < k; ++p)
    for (std::int64_t j = n; j < width; ++j) out[p * width + j] = 0.0f;
}

/// Asks for `count` numbers of a row that is copied soon: rows that lie apart are not foreseen by the CPU.
template <class T>
void prefetch_row(const T* row, std::int64_t count) {
  constexpr std::int64_t line = 64 / sizeof(T);
  for (std::int64_t j = 0; j < count; j += line) __builtin_prefetch(row + j);
}
inline constexpr std::int64_t rows_ahead = 8;

/// The first `panels` whole panels of b, whose rows are contiguous: row by row, so that memory is read in order.
inline void pack_whole_panels(detail::View b, std::int64_t k, std::int64_t panels, std::int64_t pitch, float* out) {
  for (std::int64_t p = 0; p < k; ++p, out += tile_columns) {
    const float* from = b.data + p * b.row;
    if (p + rows_ahead < k) prefetch_row(from + rows_ahead * b.row, panels * tile_columns);
    for (std::int64_t j = 0; j < panels; ++j) std::memcpy(out + j * pitch, from + j * tile_columns, sizeof(float) * tile_columns);
  }
}

/// Rows [0, m) of a, whose columns are contiguous, for tiles that read tile_rows of them side by side (OuterInput): `pitch`
/// apart, zeros behind row m. As above, memory is read in order.
inline void pack_columns(detail::View a, std::int64_t m, std::int64_t k, std::int64_t pitch, float* out) {
  const std::int64_t whole = m / tile_rows, rest = m % tile_rows;
  for (std::int64_t p = 0; p < k; ++p, out += tile_rows) {
    const float* from = a.data + p * a.column;
    if (p + rows_ahead < k) prefetch_row(from + rows_ahead * a.column, m);
    for (std::int64_t i = 0; i < whole; ++i) std::memcpy(out + i * pitch, from + i * tile_rows, sizeof(float) * tile_rows);
    for (std::int64_t r = 0; rest > 0 && r < tile_rows; ++r)
      out[whole * pitch + r] = r < rest ? from[whole * tile_rows + r] : 0.0f;
  }
}

/// One thread's part of a product: C (m,n) = or += A (m,k) · B (k,n).
inline void gemm_block(std::int64_t m, std::int64_t n, std::int64_t k, detail::View a, detail::View b, float* c, std::int64_t ldc,
                       bool accumulate) {
  constexpr std::int64_t block_rows = 16 * tile_rows, block_columns = 16 * tile_columns;
  const std::int64_t depth_most = k < block_depth ? k : block_depth;
  const std::int64_t columns_most = n < block_columns ? n : block_columns;
  const std::int64_t rows_most = m < block_rows ? m : block_rows;
  const bool copy_rows = a.column != 1;
  // Few rows do not pay for copying B: whole panels of it are then read in place.
  const bool in_place = b.column == 1 && m <= 2 * tile_rows;
  // Copies that are written side by side lie one line further apart than a power of two, not to share the cache's sets.
  const std::int64_t panel = depth_most * tile_columns + (b.column == 1 ? 16 : 0), strip = depth_most * tile_rows + 16;
  const Workspace<float> panels((columns_most + tile_columns - 1) / tile_columns * panel);
  const Workspace<float> strips(copy_rows ? (rows_most + tile_rows - 1) / tile_rows * strip : 0);
  const float* rows[block_rows + tile_rows];
  float* results[block_rows];
  const detail::TapStep tap{0, 0};
  for (std::int64_t k0 = 0; k0 < k; k0 += block_depth) {
    const std::int64_t depth = k - k0 < block_depth ? k - k0 : block_depth;
    const bool add = accumulate || k0 > 0;
    for (std::int64_t j0 = 0; j0 < n; j0 += block_columns) {
      const std::int64_t width = n - j0 < block_columns ? n - j0 : block_columns;
      const std::int64_t count = (width + tile_columns - 1) / tile_columns, whole = b.column == 1 ? width / tile_columns : 0;
      if (!in_place) pack_whole_panels({b.at(k0, j0), b.row, b.column}, depth, whole, panel, panels.data());
      for (std::int64_t j = whole; j < count; ++j) {
        const std::int64_t rest = width - j * tile_columns;
        pack_panel({b.at(k0, j0 + j * tile_columns), b.row, b.column}, depth, rest < tile_columns ? rest : tile_columns,
                   panel_width(width, j), panels.data() + j * panel);
      }
      for (std::int64_t i0 = 0; i0 < m; i0 += block_rows) {
        const std::int64_t height = m - i0 < block_rows ? m - i0 : block_rows;
        if (copy_rows) pack_columns({a.at(i0, k0), a.row, a.column}, height, depth, strip, strips.data());
        else
          for (std::int64_t i = 0; i < height + tile_rows; ++i) rows[i] = a.at(i0 + (i < height ? i : height - 1), k0);
        for (std::int64_t i = 0; i < height; ++i) results[i] = c + (i0 + i) * ldc + j0;
        for (std::int64_t j = 0; j < count; ++j) {
          const std::int64_t rest = width - j * tile_columns;
          const int columns = static_cast<int>(rest < tile_columns ? rest : tile_columns);
          TileInput in{rows, &tap, 1, 0, depth, panels.data() + j * panel, 0, panel_width(width, j)};
          if (in_place && j < whole) in.b = b.at(k0, j0 + j * tile_columns), in.b_step = b.row;
          OuterInput copied{nullptr, depth, strips.data(), in.b, in.b_step};
          for (std::int64_t i = 0; i < height; i += tile_rows, in.rows += tile_rows, copied.a += strip) {
            const int some = static_cast<int>(height - i < tile_rows ? height - i : tile_rows);
            if (copy_rows) run_outer_tile(copied, results + i, j * tile_columns, some, columns, add);
            else run_tile(in, results + i, j * tile_columns, some, columns, add);
          }
        }
      }
    }
  }
}

/// How a product is cut into parts: by rows, columns and depth, from the extents alone, so that as little as possible is
/// copied twice.
struct GemmGrid {
  std::int64_t rows = 1, columns = 1, depth = 1;

  GemmGrid(std::int64_t m, std::int64_t n, std::int64_t k, bool copies_rows) {
    constexpr double worth_a_part = 1 << 20;  // multiply-adds; some 10 microseconds
    const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    const std::int64_t wanted = work < 32 * worth_a_part ? static_cast<std::int64_t>(work / worth_a_part) : 32;
    const std::int64_t enough = wanted < 16 ? wanted : 16;
    double least = 0;
    for (std::int64_t z = 1; z == 1 || (z <= wanted && k >= 4 * block_depth * z && z * m * n <= (4 << 20)); z *= 2)
      for (std::int64_t y = 1; y == 1 || (y * z <= wanted && m >= 2 * tile_rows * y); y *= 2)
        for (std::int64_t x = 1; x == 1 || (x * y * z <= wanted && n >= 2 * tile_columns * x); x *= 2) {
          // Numbers moved: each part of the columns reads A, each part of the rows copies B, and parts of the depth are
          // written, read and added up. Too few parts leave threads idle.
          const double sums = z > 1 ? 3.0 * static_cast<double>(z * m * n) : 0;
          const double moved =
              static_cast<double>(k) * (static_cast<double>(m * x) * (copies_rows ? 1.0 : 0.5) + static_cast<double>(n * y));
          const double lack = x * y * z < enough ? static_cast<double>(enough) / static_cast<double>(x * y * z) : 1.0;
          const double cost = (moved + sums) * lack * lack;
          if (least == 0 || cost < least) least = cost, rows = y, columns = x, depth = z;
        }
  }
  std::int64_t count() const { return rows * columns * depth; }
};

inline void gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                 std::int64_t lda, const float* b, std::int64_t ldb, float* c, std::int64_t ldc, bool accumulate) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(n);
    for (std::int64_t i = 0; i < (accumulate ? 0 : m); ++i) std::memset(c + i * ldc, 0, bytes);
    return;
  }
  const detail::View left{a, trans_a ? 1 : lda, trans_a ? lda : 1}, right{b, trans_b ? 1 : ldb, trans_b ? ldb : 1};
  const GemmGrid grid(m, n, k, left.column != 1);
  // Parts of the depth sum into matrices of their own, which are added up in order afterwards.
  const Workspace<float> partial(grid.depth > 1 ? grid.depth * m * n : 0);
  parallel_chunks(grid.count(), [&](std::int64_t part) {
    const std::int64_t z = part % grid.depth, x = part / grid.depth % grid.columns, y = part / grid.depth / grid.columns;
    const std::int64_t i0 = m * y / grid.rows, i1 = m * (y + 1) / grid.rows;
    const std::int64_t k0 = k * z / grid.depth, k1 = k * (z + 1) / grid.depth;
    const std::int64_t panels = (n + tile_columns - 1) / tile_columns;
    const std::int64_t j0 = panels * x / grid.columns * tile_columns;
    const std::int64_t j1 = x + 1 == grid.columns ? n : panels * (x + 1) / grid.columns * tile_columns;
    const detail::View a_part{left.at(i0, k0), left.row, left.column}, b_part{right.at(k0, j0), right.row, right.column};
    if (grid.depth > 1) gemm_block(i1 - i0, j1 - j0, k1 - k0, a_part, b_part, partial.data() + (z * m + i0) * n + j0, n, false);
    else gemm_block(i1 - i0, j1 - j0, k, a_part, b_part, c + i0 * ldc + j0, ldc, accumulate);
  });
  if (grid.depth == 1) return;
  parallel_for(m, 1 + 16384 / n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* row = c + i * ldc;
      if (!accumulate) std::memset(row, 0, sizeof(float) * static_cast<std::size_t>(n));
      for (std::int64_t z = 0; z < grid.depth; ++z) {
        const float* part = partial.data() + (z * m + i) * n;
        for (std::int64_t j = 0; j < n; ++j) row[j] += part[j];
      }
    }
  });
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
