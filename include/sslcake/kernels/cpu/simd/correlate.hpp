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

/// What is done to results while they are still in the cache: a bias added (to bfloat16 only), and sums per channel of
/// (y - center) and of its square.
struct Epilogue {
  const float* bias = nullptr;    // one per result channel
  const float* center = nullptr;  // the same
  float* partial = nullptr;       // (parts, 2, channels); null: no sums
  std::int64_t channels = 0;
  bool streams = false;           // the results go past the caches (bfloat16 only)
};

/// Sums over the results rows[·][0 .. V·lanes) of all pixels.
template <int V>
SSLCAKE_SIMD_TARGET SSLCAKE_NOINLINE void sum_columns(const detail::TilePlan::Tile* tiles, std::int64_t count, float* const* rows,
                                                      std::int64_t column, const float* center, float* sum, float* squares) {
  Vector middle[V], first[V] = {}, second[V] = {};
  SSLCAKE_UNROLL
  for (int v = 0; v < V; ++v) middle[v] = *reinterpret_cast<const UnalignedVector*>(center + v * lanes);
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t r = 0; r < tiles[i].count; ++r) {
      const float* y = rows[i * tile_rows + r] + column;
      SSLCAKE_UNROLL
      for (int v = 0; v < V; ++v) {
        const Vector d = *reinterpret_cast<const UnalignedVector*>(y + v * lanes) - middle[v];
        first[v] += d;
        second[v] += d * d;
      }
    }
  SSLCAKE_UNROLL
  for (int v = 0; v < V; ++v) {
    *reinterpret_cast<UnalignedVector*>(sum + v * lanes) = first[v];
    *reinterpret_cast<UnalignedVector*>(squares + v * lanes) = second[v];
  }
}

/// The sums of one part for channels [channel, channel + width), which stand in columns [column, column + width) of the rows.
inline void add_sums(const Epilogue& to, std::int64_t part, const detail::TilePlan::Tile* tiles, std::int64_t count,
                     float* const* rows, std::int64_t column, std::int64_t channel, std::int64_t width) {
  float *sum = to.partial + part * 2 * to.channels + channel, *squares = sum + to.channels;
  const float* center = to.center + channel;
  if (width == tile_columns) return sum_columns<2>(tiles, count, rows, column, center, sum, squares);
  if (width == lanes) return sum_columns<1>(tiles, count, rows, column, center, sum, squares);
  for (std::int64_t j = 0; j < width; ++j) {
    float first = 0, second = 0;
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t r = 0; r < tiles[i].count; ++r) {
        const float d = rows[i * tile_rows + r][column + j] - center[j];
        first += d;
        second += d * d;
      }
    sum[j] = first, squares[j] = second;
  }
}

/// result[at[p]] .. = rows[p] (+ bias), rounded to bfloat16: V vectors of every pixel; past the caches if `streams`.
template <int V, bool streams>
SSLCAKE_SIMD_TARGET SSLCAKE_NOINLINE void round_columns(const detail::TilePlan::Tile* tiles, std::int64_t count,
                                                        float* const* rows, const std::int64_t* at, const float* bias,
                                                        bfloat16* result) {
  Vector shift[V] = {};
  SSLCAKE_UNROLL
  for (int v = 0; v < V; ++v)
    if (bias) shift[v] = *reinterpret_cast<const UnalignedVector*>(bias + v * lanes);
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t r = 0; r < tiles[i].count; ++r) {
      const float* y = rows[i * tile_rows + r];
      bfloat16* out = result + at[i * tile_rows + r];
      SSLCAKE_UNROLL
      for (int v = 0; v < V; ++v) {
        const Vector sum = *reinterpret_cast<const UnalignedVector*>(y + v * lanes) + shift[v];
        if constexpr (streams) stream(sum, out + v * lanes);
        else store(sum, out + v * lanes);
      }
    }
}

inline void round_panel(const detail::TilePlan::Tile* tiles, std::int64_t count, float* const* rows, const std::int64_t* at,
                        const float* bias, bfloat16* result, std::int64_t width, bool streams) {
  if (width == tile_columns && streams) return round_columns<2, true>(tiles, count, rows, at, bias, result);
  if (width == tile_columns) return round_columns<2, false>(tiles, count, rows, at, bias, result);
  if (width == lanes) return round_columns<1, false>(tiles, count, rows, at, bias, result);
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t r = 0; r < tiles[i].count; ++r)
      for (std::int64_t j = 0; j < width; ++j)
        result[at[i * tile_rows + r] + j] = bfloat16(rows[i * tile_rows + r][j] + (bias ? bias[j] : 0.0f));
}

/// Only with 64-byte vectors is a tile's row of bfloat16 one line, if the groups are whole tiles.
inline bool streams_results(const detail::Correlation& c, const PackedWeights& w, const void* result) {
  return lanes == 16 && (w.groups == 1 || w.results % tile_columns == 0) && detail::passes_caches(c, result);
}

/// What is stored as the result of products of floats, and of pairs of bfloat16.
template <bool pairs>
struct ResultOf {
  using type = float;
};
template <>
struct ResultOf<true> {
  using type = bfloat16;
};

/// One part of the pixels, panels [first, last). Tiles of floats stand in the result itself while the blocks of k pass;
/// those of bfloat16 in a panel of floats beside it, which is rounded once at the end.
template <bool pairs>
void correlate_part(const detail::Correlation& c, const detail::TilePlan& plan, const PackedWeights& w, const float* source,
                    typename ResultOf<pairs>::type* result, std::int64_t part, std::int64_t first, std::int64_t last,
                    const Epilogue& epilogue) {
  const std::int64_t most_rows = plan.most_tiles() * tile_rows;
  const Workspace<float> scratch(plan.scratch()), beside(pairs ? most_rows * tile_columns : 0);
  const Workspace<const float*> from(most_rows);
  const Workspace<float*> to(most_rows);
  const Workspace<std::int64_t> at(most_rows);
  const Workspace<detail::TilePlan::Tile> tiles(plan.most_tiles());
  const std::int64_t count = plan.fill(part, source, scratch.data(), tiles.data(), from.data(), at.data());
  for (std::int64_t i = 0; i < count * tile_rows; ++i) {
    if constexpr (pairs) to[i] = beside.data() + i * tile_columns;
    else to[i] = result + at[i];
  }

  // k is cut into blocks that leave a panel in the first cache: some taps, or some channels of one tap.
  const std::int64_t taps = static_cast<std::int64_t>(c.taps.size());
  const std::int64_t depth_block = w.depth < block_depth ? w.depth : block_depth;
  const std::int64_t tap_block = w.depth < block_depth ? block_depth / (w.depth + (w.depth == 0)) : 1;
  for (std::int64_t which = first; which < last; ++which) {
    const std::int64_t g = which / w.panels, j = which % w.panels, width = panel_width(w.results, j);
    const std::int64_t channel = g * w.results + j * tile_columns, column = pairs ? 0 : channel;
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
          run_tile<pairs>(in, to.data() + i * tile_rows, column, tiles[i].count, pairs ? static_cast<int>(width) : w.width(j),
                          accumulate);
        }
      }
    if (epilogue.partial) add_sums(epilogue, part, tiles.data(), count, to.data(), column, channel, w.width(j));
    if constexpr (pairs)
      round_panel(tiles.data(), count, to.data(), at.data(), epilogue.bias ? epilogue.bias + channel : nullptr, result + channel,
                  w.width(j), epilogue.streams);
  }
  if (epilogue.streams) end_streaming();
}

template <bool pairs = false>
void correlate(const detail::Correlation& c, const detail::TilePlan& plan, const PackedWeights& w, const float* source,
               typename ResultOf<pairs>::type* result, const Epilogue& epilogue = {}) {
  // Where there are few pixels, panels are shared out as well.
  const std::int64_t panels = w.groups * w.panels;
  std::int64_t panel_parts = 1;
  while (plan.parts() * panel_parts < 32 && panels / panel_parts >= 4) panel_parts *= 2;
  parallel_chunks(plan.parts() * panel_parts, [&](std::int64_t part) {
    const std::int64_t which = part % panel_parts;
    correlate_part<pairs>(c, plan, w, source, result, part / panel_parts, panels * which / panel_parts,
                          panels * (which + 1) / panel_parts, epilogue);
  });
}

inline void conv2d_forward(const ConvShape& s, const float* x, const float* w, float* y) {
  if (is_depthwise(s)) return correlate_channels(detail::forward_correlation(s, false), s, w, x, y);
  const bool windows = detail::takes_windows(s);
  const PackedWeights packed(s.groups, windows ? s.kh : s.taps(), windows ? s.kw * s.c : s.group_c(), s.group_o());
  pack_forward(s, w, packed);
  const detail::Correlation c = detail::forward_correlation(s, windows);
  correlate(c, detail::TilePlan(c, tile_rows), packed, x, y);
}

/// correlate, with the results' sums per channel as conv2d_forward_sums gives them.
template <bool pairs = false>
void correlate_sums(const detail::Correlation& c, const PackedWeights& packed, const float* source,
                    typename ResultOf<pairs>::type* result, const float* center, double* sum, double* sum_sq) {
  const detail::TilePlan plan(c, tile_rows);
  const bool streams = pairs && streams_results(c, packed, result);
  const std::int64_t channels = packed.groups * packed.results;
  const Workspace<float> zeros(center ? 0 : channels), partial(plan.parts() * 2 * channels);
  if (!center && channels > 0) std::memset(zeros.data(), 0, sizeof(float) * static_cast<std::size_t>(channels));
  correlate<pairs>(c, plan, packed, source, result, {nullptr, center ? center : zeros.data(), partial.data(), channels, streams});
  parallel_for(channels, 32, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) sum[o] = sum_sq[o] = 0;
    for (std::int64_t part = 0; part < plan.parts(); ++part)
      for (std::int64_t o = begin; o < end; ++o) {
        sum[o] += partial[2 * part * channels + o];
        sum_sq[o] += partial[(2 * part + 1) * channels + o];
      }
  });
}

inline void conv2d_forward_sums(const ConvShape& s, const float* x, const float* w, float* y, const float* center, double* sum,
                                double* sum_sq) {
  if (is_depthwise(s)) {
    SSLCAKE_SIMD_NAMESPACE::conv2d_forward(s, x, w, y);
    return detail::sum_channels(y, s.n * s.oh() * s.ow(), s.o, center, sum, sum_sq);
  }
  const bool windows = detail::takes_windows(s);
  const PackedWeights packed(s.groups, windows ? s.kh : s.taps(), windows ? s.kw * s.c : s.group_c(), s.group_o());
  pack_forward(s, w, packed);
  correlate_sums(detail::forward_correlation(s, windows), packed, x, y, center, sum, sum_sq);
}

inline void conv2d_input_grad(const ConvShape& s, const float* dy, const float* w, float* dx) {
  if (is_depthwise(s)) {
    for (const detail::Correlation& c : detail::input_grad_correlations(s)) correlate_channels(c, s, w, dy, dx);
    return;
  }
  const PackedWeights packed(s.groups, s.taps(), s.group_o(), s.group_c());
  pack_input_grad(s, w, packed);
  for (const detail::Correlation& c : detail::input_grad_correlations(s))
    correlate(c, detail::TilePlan(c, tile_rows), packed, dy, dx);
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
