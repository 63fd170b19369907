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

/// One part of the pixels, panels [first, last).
inline void correlate_part(const detail::Correlation& c, const detail::TilePlan& plan, const PackedWeights& w,
                           const float* source, float* result, std::int64_t part, std::int64_t first, std::int64_t last) {
  const Workspace<float> scratch(plan.scratch());
  const Workspace<const float*> from(plan.most_tiles() * tile_rows);
  const Workspace<float*> to(plan.most_tiles() * tile_rows);
  const Workspace<detail::TilePlan::Tile> tiles(plan.most_tiles());
  const std::int64_t count = plan.fill(part, source, result, scratch.data(), tiles.data(), from.data(), to.data());

  // k is cut into blocks that leave a panel in the first cache: some taps, or some channels of one tap.
  const std::int64_t taps = static_cast<std::int64_t>(c.taps.size());
  const std::int64_t depth_block = w.depth < block_depth ? w.depth : block_depth;
  const std::int64_t tap_block = w.depth < block_depth ? block_depth / (w.depth + (w.depth == 0)) : 1;
  for (std::int64_t at = first; at < last; ++at) {
    const std::int64_t g = at / w.panels, j = at % w.panels, width = panel_width(w.results, j);
    const std::int64_t column = g * w.results + j * tile_columns;
    // Pixels without any tap, or without channels to sum over, become zero in the first round.
    for (std::int64_t t = 0; t == 0 || t < taps; t += tap_block)
      for (std::int64_t k = 0; k == 0 || k < w.depth; k += block_depth) {
        TileInput in{};
        in.offset = g * w.depth + k;
        in.depth = w.depth - k < depth_block ? w.depth - k : depth_block;
        in.b = w.panel(g, j) + k * width;
        in.b_tap = w.depth * width;
        in.b_step = width;
        const bool accumulate = t > 0 || k > 0;
        for (std::int64_t i = 0; i < count; ++i) {
          // Tiles in the padding have fewer taps; blocks are cut from what they have.
          const std::vector<detail::TapStep>& steps = plan.steps(tiles[i].kind);
          const std::int64_t have = static_cast<std::int64_t>(steps.size());
          if (t >= have && accumulate) continue;
          in.taps = steps.data() + t;
          in.tap_count = have - t < tap_block ? have - t : tap_block;
          in.rows = from.data() + i * tile_rows;
          run_tile(in, to.data() + i * tile_rows, column, tiles[i].count, w.width(j), accumulate);
        }
      }
  }
}

inline void correlate(const detail::Correlation& c, const PackedWeights& w, const float* source, float* result) {
  const detail::TilePlan plan(c, tile_rows);
  // Where there are few pixels, panels are shared out as well.
  const std::int64_t panels = w.groups * w.panels;
  std::int64_t panel_parts = 1;
  while (plan.parts() * panel_parts < 32 && panels / panel_parts >= 4) panel_parts *= 2;
  parallel_chunks(plan.parts() * panel_parts, [&](std::int64_t part) {
    const std::int64_t which = part % panel_parts;
    correlate_part(c, plan, w, source, result, part / panel_parts, panels * which / panel_parts,
                   panels * (which + 1) / panel_parts);
  });
}

/// Few channels: a row of the kernel is taken as one tap, kw·C numbers deep.
inline bool takes_windows(const ConvShape& s) { return s.c < 8 && s.groups == 1 && s.dilation_w == 1 && s.kw > 1; }

inline void conv2d_forward(const ConvShape& s, const float* x, const float* w, float* y) {
  const bool windows = takes_windows(s);
  const PackedWeights packed(s.groups, windows ? s.kh : s.taps(), windows ? s.kw * s.c : s.group_c(), s.group_o());
  pack_forward(s, w, packed);
  correlate(detail::forward_correlation(s, windows), packed, x, y);
}

inline void conv2d_input_grad(const ConvShape& s, const float* dy, const float* w, float* dx) {
  const PackedWeights packed(s.groups, s.taps(), s.group_o(), s.group_c());
  pack_input_grad(s, w, packed);
  for (const detail::Correlation& c : detail::input_grad_correlations(s)) correlate(c, packed, dy, dx);
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
