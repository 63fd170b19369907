// Convolution forward and input gradient: tiles of result pixels x result channels, with the source pixels found
// through tables of pointers (see correlation.hpp and tile.hpp). Read once per instruction set, see tile.hpp.
#if defined(SSLCAKE_SIMD_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

/// Weights in the order in which tiles read them: [group][panel of result channels][tap][source channel][lane].
struct PackedWeights {
  std::int64_t groups, taps, depth, results;  // depth: source channels per group; results: result channels per group
  std::int64_t panels;                        // per group
  Workspace<float> data;

  PackedWeights(std::int64_t groups_, std::int64_t taps_, std::int64_t depth_, std::int64_t results_)
      : groups(groups_), taps(taps_), depth(depth_), results(results_),
        panels((results_ + tile_columns - 1) / tile_columns),
        data(groups_ * taps_ * depth_ * panels * tile_columns) {}
  float* panel(std::int64_t group, std::int64_t j) const {
    return data.data() + (group * panels + j) * tile_columns * taps * depth;
  }
  int width(std::int64_t j) const {
    return static_cast<int>(results - j * tile_columns < tile_columns ? results - j * tile_columns : tile_columns);
  }
};

/// For the forward pass: source channels are C, result channels O; w is (O, taps, C/groups).
inline void pack_forward(const ConvShape& s, const float* w, const PackedWeights& out) {
  const std::int64_t row = s.taps() * s.group_c();
  parallel_for(out.groups * out.panels, 1 + 65536 / (1 + row * tile_columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t g = at / out.panels, j = at % out.panels;
      pack_panel({w + (g * out.results + j * tile_columns) * row, 1, row}, row, out.width(j), panel_width(out.results, j),
                 out.panel(g, j));
    }
  });
}

/// For the input gradient: source channels are O, result channels C.
inline void pack_input_grad(const ConvShape& s, const float* w, const PackedWeights& out) {
  const std::int64_t row = s.taps() * s.group_c();
  parallel_for(out.groups * out.panels, 1 + 65536 / (1 + row * tile_columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t g = at / out.panels, j = at % out.panels, width = panel_width(out.results, j);
      for (std::int64_t tap = 0; tap < out.taps; ++tap)
        pack_panel({w + g * out.depth * row + tap * s.group_c() + j * tile_columns, row, 1}, out.depth, out.width(j), width,
                   out.panel(g, j) + tap * out.depth * width);
    }
  });
}

/// How the work is cut: pixels and panels per part, from the extents alone.
struct CorrelationGrid {
  std::int64_t pixels;       // per part, a multiple of tile_rows
  std::int64_t pixel_parts, panel_parts;

  CorrelationGrid(const detail::Correlation& c, const PackedWeights& w) {
    // Enough pixels that a panel of weights is used often once it is in the first cache, few enough that their
    // sources stay in the second and the table of pointers in either.
    const std::int64_t taps = static_cast<std::int64_t>(c.taps.size());
    const std::int64_t tiles = taps > 16 ? 1 + 256 / taps : 16;
    pixels = tiles * tile_rows;
    pixel_parts = (c.pixels() + pixels - 1) / pixels;
    panel_parts = 1;
    const std::int64_t panels = w.groups * w.panels;
    while (pixel_parts * panel_parts < 32 && panels / panel_parts >= 4) panel_parts *= 2;
  }
};

/// One part: all taps of some pixels for some panels.
inline void correlate_part(const detail::Correlation& c, const PackedWeights& w, const CorrelationGrid& grid,
                           const float* source, const float* zeros, float* result, std::int64_t part) {
  const std::int64_t begin = part / grid.panel_parts * grid.pixels;
  const std::int64_t end = begin + grid.pixels < c.pixels() ? begin + grid.pixels : c.pixels();
  const std::int64_t count = end - begin, taps = static_cast<std::int64_t>(c.taps.size());
  const Workspace<const float*> from((taps + 1) * grid.pixels);
  const Workspace<float*> to(grid.pixels);
  const Workspace<std::int64_t> index(taps + 1);
  for (std::int64_t t = 0; t < taps; ++t) index[t] = c.taps[static_cast<std::size_t>(t)].weight;
  detail::point_at_pixels(c, tile_rows, source, result, zeros, begin, end, from.data(), grid.pixels, to.data());

  // k is cut into blocks that leave a panel in the first cache: some taps, or some channels of one tap.
  const std::int64_t depth_block = w.depth < block_depth ? w.depth : block_depth;
  const std::int64_t tap_block = depth_block > 0 && w.depth <= block_depth ? 1 + (block_depth - 1) / depth_block : 1;
  const std::int64_t panels = w.groups * w.panels, which = part % grid.panel_parts;
  for (std::int64_t at = panels * which / grid.panel_parts; at < panels * (which + 1) / grid.panel_parts; ++at) {
    const std::int64_t g = at / w.panels, j = at % w.panels, width = panel_width(w.results, j);
    const std::int64_t column = g * w.results + j * tile_columns;
    bool first = true;
    // The loop runs at least once, so that pixels without any tap become zero.
    for (std::int64_t t = 0; t < taps || first; t += tap_block)
      for (std::int64_t k = 0; k < w.depth || first; k += depth_block) {
        TileInput in{};
        in.row_stride = grid.pixels;
        in.taps = taps - t < tap_block ? taps - t : tap_block;
        in.tap_index = index.data() + t;
        in.offset = g * w.depth + k;
        in.depth = w.depth - k < depth_block ? w.depth - k : depth_block;
        in.b = w.panel(g, j) + k * width;
        in.b_tap = w.depth * width;
        in.b_step = width;
        for (std::int64_t i = 0; i < count; i += tile_rows) {
          in.rows = from.data() + t * grid.pixels + i;
          run_tile(in, to.data() + i, column, static_cast<int>(count - i < tile_rows ? count - i : tile_rows), w.width(j),
                   !first);
        }
        first = false;
        if (depth_block == 0) break;
      }
  }
}

inline void correlate(const detail::Correlation& c, const PackedWeights& w, const float* source, float* result) {
  if (c.pixels() == 0 || w.results == 0) return;
  const Workspace<float> zeros(c.source_pixel + 1);
  std::memset(zeros.data(), 0, sizeof(float) * static_cast<std::size_t>(zeros.size()));
  const CorrelationGrid grid(c, w);
  parallel_chunks(grid.pixel_parts * grid.panel_parts,
                  [&](std::int64_t part) { correlate_part(c, w, grid, source, zeros.data(), result, part); });
}

inline void conv2d_forward(const ConvShape& s, const float* x, const float* w, float* y) {
  const PackedWeights packed(s.groups, s.taps(), s.group_c(), s.group_o());
  pack_forward(s, w, packed);
  correlate(detail::forward_correlation(s, tile_rows), packed, x, y);
}

inline void conv2d_input_grad(const ConvShape& s, const float* dy, const float* w, float* dx) {
  const PackedWeights packed(s.groups, s.taps(), s.group_o(), s.group_c());
  pack_input_grad(s, w, packed);
  for (const detail::Correlation& c : detail::input_grad_correlations(s, tile_rows)) correlate(c, packed, dy, dx);
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
