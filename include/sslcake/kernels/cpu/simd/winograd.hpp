// Winograd's F(4x4, 3x3) over blocks of tiles: transform the source, 36 matrix products, transform the result; and the
// weight gradient in the same way. See ../../winograd.hpp. Read once per instruction set, see tile.hpp.
#if defined(SSLCAKE_SIMD_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

/// 36 matrices (tiles, channels). Rows have room for whole vectors; neither rows nor matrices begin at the same place of
/// a memory page as their neighbours, whose lines would push each other out of the cache.
struct WinogradBlock {
  std::int64_t pitch, slice;
  Workspace<float> data;

  WinogradBlock(std::int64_t rows, std::int64_t channels)
      : pitch((channels + lanes - 1) / lanes * lanes + 16), slice((rows + tile_rows) * pitch + 16),
        data(detail::winograd_points * slice) {}
  float* at(std::int64_t point, std::int64_t row) const { return data.data() + point * slice + row * pitch; }
  template <class T>
  void rows(std::int64_t row, T** out) const {
    for (std::int64_t point = 0; point < detail::winograd_points; ++point) out[point] = at(point, row);
  }
};

/// Tiles per block: few enough that the transformed numbers stay in the faster caches, enough that they are not outnumbered
/// by the transformed weights, all of which are read for every block.
inline std::int64_t winograd_block(const detail::WinogradMap& map) {
  // 1 MB: at 64 channels 1.3 to 1.6 times the speed of 8 MB (bench/against.sh --threads 1 on Zen 3).
  constexpr std::int64_t wanted_floats = 1 << 18;
  const std::int64_t both = map.channels + map.results, least = map.channels * map.results / both;
  std::int64_t most = wanted_floats / (detail::winograd_points * both);
  most = most < least ? least : most;
  const std::int64_t tiles = map.tiles(), blocks = (tiles + most - 1) / most;
  return ((tiles + blocks - 1) / blocks + tile_rows - 1) / tile_rows * tile_rows;
}

/// Transformed filters, packed as other weights are, with 36 points in place of the taps.
inline void pack_winograd(const ConvShape& s, bool input_grad, const float* w, const PackedWeights& out) {
  parallel_chunks(out.panels, [&](std::int64_t j) {
    const std::int64_t row = 9 * s.c, width = panel_width(out.results, j), size = out.depth * width;
    const Workspace<float> taps(9 * size);
    for (std::int64_t tap = 0; tap < 9; ++tap) {
      const detail::View forward{w + j * tile_columns * row + tap * s.c, 1, row},
          turned{w + (8 - tap) * s.c + j * tile_columns, row, 1};
      pack_panel(input_grad ? turned : forward, out.depth, out.width(j), width, taps.data() + tap * size);
    }
    const float* from[9];
    float* to[detail::winograd_points];
    for (std::int64_t tap = 0; tap < 9; ++tap) from[tap] = taps.data() + tap * size;
    for (std::int64_t point = 0; point < detail::winograd_points; ++point) to[point] = out.panel(0, j) + point * size;
    transform<FilterStep>(from, to, size, true);
  });
}

/// results (tiles, O) = source (tiles, C) · weights (C, O) at one point, panels [begin, end).
inline void winograd_product(std::int64_t point, std::int64_t tiles, std::int64_t begin, std::int64_t end,
                             const float* const* rows, const WinogradBlock& source, const PackedWeights& weights,
                             const WinogradBlock& results) {
  const detail::TapStep tap{0, 0};
  for (std::int64_t k = 0; k < weights.depth; k += block_depth) {
    const std::int64_t depth = weights.depth - k < block_depth ? weights.depth - k : block_depth;
    for (std::int64_t j = begin; j < end; ++j) {
      const std::int64_t width = panel_width(weights.results, j);
      TileInput in{rows, &tap, 1, point * source.slice + k, depth, weights.panel(0, j) + (point * weights.depth + k) * width,
                   0,    width};
      for (std::int64_t i = 0; i < tiles; i += tile_rows) {
        float* out[tile_rows];
        for (int r = 0; r < tile_rows; ++r) out[r] = results.at(point, i + r) + j * tile_columns;
        in.rows = rows + i;
        if (width == tile_columns) tile<tile_rows, 2>(in, out, k > 0);
        else tile<tile_rows, 1>(in, out, k > 0);
      }
    }
  }
}

/// Adds the pixels of one tile to the sums of their channels; pixels at `outside` do not count.
template <class S>
SSLCAKE_SIMD_TARGET SSLCAKE_NOINLINE void add_tile_sums(S* const* pixels, const S* outside, std::int64_t channels,
                                                        const float* center, float* sum, float* squares) {
  std::int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) {
    Vector middle, first, second, d;
    load(middle, center + c);
    load(first, sum + c);
    load(second, squares + c);
    for (int i = 0; i < 16; ++i) {
      if (pixels[i] == outside) continue;
      load(d, pixels[i] + c);
      d -= middle;
      first += d;
      second += d * d;
    }
    store(first, sum + c);
    store(second, squares + c);
  }
  for (; c < channels; ++c)
    for (int i = 0; i < 16; ++i) {
      if (pixels[i] == outside) continue;
      const float d = static_cast<float>(pixels[i][c]) - center[c];
      sum[c] += d;
      squares[c] += d * d;
    }
}

/// Forward pass, or input gradient with dy as `source` and dx as `result`. Sums per channel as in conv2d_forward_sums,
/// where `sum` is given. S is how pictures are stored: float or bfloat16; what is computed is float32.
template <class S>
void conv2d_winograd(const ConvShape& s, bool input_grad, const S* source, const float* w, S* result, const float* center,
                     double* sum, double* sum_sq) {
  const detail::WinogradMap map(s, input_grad);
  const PackedWeights weights(1, detail::winograd_points, map.channels, map.results);
  pack_winograd(s, input_grad, w, weights);

  const std::int64_t tiles = map.tiles(), block = winograd_block(map), blocks = (tiles + block - 1) / block;
  // Many blocks: each thread takes one, in caches of its own, and waits for nobody. Few: all threads share each.
  const bool many = blocks >= 16;
  const std::int64_t chunks = many ? 1 : chunk_count(block, 8), parts = weights.panels < 8 ? 1 : 4;
  const Workspace<S> padding(map.channels);
  const Workspace<float> zeros(map.results), partial(sum ? blocks * chunks * 2 * map.results : 0);
  std::fill_n(padding.data(), map.channels, S(0.0f));
  std::fill_n(zeros.data(), map.results, 0.0f);
  if (sum) std::memset(partial.data(), 0, sizeof(float) * static_cast<std::size_t>(partial.size()));

  const auto run_block = [&](std::int64_t which, const WinogradBlock& from, const WinogradBlock& to) {
    const std::int64_t first = which * block, count = tiles - first < block ? tiles - first : block;
    const Workspace<S> spare(chunks * map.results);
    const Workspace<const float*> rows(block + tile_rows);
    for (std::int64_t i = 0; i < rows.size(); ++i) rows[i] = from.at(0, i);
    parallel_for(count, 8, [&](std::int64_t begin, std::int64_t end) {
      const S* pixels[36];
      float* points[36];
      for (std::int64_t t = begin; t < end; ++t) {
        map.source<S>(first + t, source, padding.data(), pixels);
        from.rows(t, points);
        transform<SourceStep>(pixels, points, map.channels, true);
      }
    });
    parallel_chunks(detail::winograd_points * parts, [&](std::int64_t at) {
      const std::int64_t part = at % parts;
      winograd_product(at / parts, count, weights.panels * part / parts, weights.panels * (part + 1) / parts, rows.data(), from,
                       weights, to);
    });
    parallel_chunks(chunks, [&](std::int64_t chunk) {
      const float* points[36];
      S* pixels[16];
      S* outside = spare.data() + chunk * map.results;
      float* sums = sum ? partial.data() + (which * chunks + chunk) * 2 * map.results : nullptr;
      for (std::int64_t t = count * chunk / chunks; t < count * (chunk + 1) / chunks; ++t) {
        to.rows(t, points);
        map.result<S>(first + t, result, outside, pixels);
        transform<ResultStep>(points, pixels, map.results, false);
        if (sum) add_tile_sums<S>(pixels, outside, map.results, center ? center : zeros.data(), sums, sums + map.results);
      }
    });
  };
  if (many) {
    parallel_chunks(blocks, [&](std::int64_t which) {
      run_block(which, WinogradBlock(block, map.channels), WinogradBlock(block, map.results));
    });
  } else {
    const WinogradBlock from(block, map.channels), to(block, map.results);
    for (std::int64_t which = 0; which < blocks; ++which) run_block(which, from, to);
  }
  if (!sum) return;
  for (std::int64_t o = 0; o < map.results; ++o) sum[o] = sum_sq[o] = 0;
  for (std::int64_t part = 0; part < blocks * chunks; ++part)
    for (std::int64_t o = 0; o < map.results; ++o) {
      sum[o] += partial[2 * part * map.results + o];
      sum_sq[o] += partial[(2 * part + 1) * map.results + o];
    }
}

/// dw (O, C) = or += sum over tiles of dy (tiles, O) times x (tiles, C), at one point.
inline void winograd_cross(std::int64_t point, std::int64_t tiles, const ConvShape& s, const WinogradBlock& dy,
                           const WinogradBlock& x, const WinogradBlock& dw, bool accumulate) {
  for (std::int64_t t = 0; t < tiles; t += block_depth) {
    const std::int64_t count = tiles - t < block_depth ? tiles - t : block_depth;
    for (std::int64_t c = 0; c < s.c; c += tile_columns)
      for (std::int64_t o = 0; o < s.o; o += tile_rows) {
        float* out[tile_rows];
        for (int r = 0; r < tile_rows; ++r) out[r] = dw.at(point, o + r) + c;
        const OuterInput in{nullptr, count, dy.at(point, t) + o, x.at(point, t) + c, x.pitch, dy.pitch};
        if (s.c - c > lanes) Tiles<false>::run<tile_rows, 2>(in, out, accumulate || t > 0);
        else Tiles<false>::run<tile_rows, 1>(in, out, accumulate || t > 0);
      }
  }
}

template <class S>
void conv2d_winograd_weight_grad(const ConvShape& s, const S* x, const S* dy, float* dw) {
  const detail::WinogradMap map(s, false);
  const std::int64_t tiles = map.tiles(), block = winograd_block(map);
  const WinogradBlock source(block, s.c), gradient(block, s.o), sums(s.o, s.c);
  const std::int64_t zero_count = s.c > s.o ? s.c : s.o;
  const Workspace<S> padding(zero_count);
  std::fill_n(padding.data(), zero_count, S(0.0f));
  for (std::int64_t first = 0; first < tiles; first += block) {
    const std::int64_t count = tiles - first < block ? tiles - first : block;
    parallel_for(count, 8, [&](std::int64_t begin, std::int64_t end) {
      const S* pixels[36];
      float* points[36];
      for (std::int64_t t = begin; t < end; ++t) {
        map.source<S>(first + t, x, padding.data(), pixels);
        source.rows(t, points);
        transform<SourceStep>(pixels, points, s.c, true);
        map.result<const S>(first + t, dy, padding.data(), pixels);
        gradient.rows(t, points);
        transform<GradientStep>(pixels, points, s.o, true);
      }
    });
    parallel_chunks(detail::winograd_points,
                    [&](std::int64_t point) { winograd_cross(point, count, s, gradient, source, sums, first > 0); });
  }
  parallel_for(s.o, 4, [&](std::int64_t begin, std::int64_t end) {
    const float* points[36];
    float* taps[9];
    for (std::int64_t o = begin; o < end; ++o) {
      sums.rows(o, points);
      for (std::int64_t tap = 0; tap < 9; ++tap) taps[tap] = dw + (o * 9 + tap) * s.c;
      transform<FilterGradStep>(points, taps, s.c, false);
    }
  });
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
