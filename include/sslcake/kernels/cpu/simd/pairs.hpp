// Convolutions on pairs of bfloat16, two products to an instruction: forward pass and input gradient as in correlate.hpp,
// a pair of neighbouring source channels taking the place of one; the weight gradient on pairs of pixels, tap after tap.
// Read once per instruction set, see tile.hpp.
#if defined(SSLCAKE_SIMD_NAMESPACE) && defined(SSLCAKE_SIMD_PAIRS)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

/// out[j] = (first[j], second[j]) for `lanes` (or 8) numbers; null pointers stand for zeros.
SSLCAKE_SIMD_TARGET SSLCAKE_ALWAYS_INLINE void interleave_vector(const bfloat16* first, const bfloat16* second, float* out) {
  typedef std::uint16_t Half __attribute__((vector_size(2 * lanes)));
  typedef std::uint32_t Bits __attribute__((vector_size(4 * lanes)));
  Half low{}, high{};
  if (first) __builtin_memcpy(&low, first, sizeof low);
  if (second) __builtin_memcpy(&high, second, sizeof high);
  const Bits bits = __builtin_convertvector(low, Bits) | __builtin_convertvector(high, Bits) << 16;
  __builtin_memcpy(out, &bits, sizeof bits);
}
SSLCAKE_SIMD_TARGET SSLCAKE_ALWAYS_INLINE void interleave_eight(const bfloat16* first, const bfloat16* second, float* out) {
  typedef std::uint16_t Half __attribute__((vector_size(16)));
  Half low{}, high{};
  if (first) __builtin_memcpy(&low, first, sizeof low);
  if (second) __builtin_memcpy(&high, second, sizeof high);
  const Half left = __builtin_shufflevector(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
  const Half right = __builtin_shufflevector(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
  __builtin_memcpy(out, &left, sizeof left);
  __builtin_memcpy(out + 4, &right, sizeof right);
}

/// The same for `count` numbers.
SSLCAKE_SIMD_TARGET inline void interleave(const bfloat16* first, const bfloat16* second, std::int64_t count, float* out) {
  std::int64_t j = 0;
  for (; j + lanes <= count; j += lanes) interleave_vector(first ? first + j : nullptr, second ? second + j : nullptr, out + j);
  for (; j < count; ++j) {
    const std::uint32_t bits = (first ? first[j].bits : 0u) | (second ? std::uint32_t{second[j].bits} << 16 : 0u);
    __builtin_memcpy(out + j, &bits, sizeof bits);
  }
}

/// Weights rounded and packed by pairs of source channels, of which each group has an even number; out.taps may count rows of
/// the kernel.
inline void pack_pairs(const ConvShape& s, bool input_grad, const float* w, const PackedWeights& out) {
  const std::int64_t row = s.taps() * s.group_c(), depth = 2 * out.depth, rows = out.taps * depth;
  parallel_chunks(out.groups * out.panels, [&](std::int64_t at) {
    const std::int64_t g = at / out.panels, j = at % out.panels, width = panel_width(out.results, j);
    const Workspace<float> panel(rows * width);
    const Workspace<bfloat16> rounded(rows * width);
    for (std::int64_t tap = 0; tap < out.taps; ++tap) {
      const detail::View forward{w + (g * out.results + j * tile_columns) * row + tap * depth, 1, row};
      const detail::View turned{w + g * depth * row + tap * s.group_c() + j * tile_columns, row, 1};
      pack_panel(input_grad ? turned : forward, depth, out.width(j), width, panel.data() + tap * depth * width);
    }
    narrow(rows * width, panel.data(), rounded.data());
    for (std::int64_t k = 0; k < rows; k += 2)
      interleave(rounded.data() + k * width, rounded.data() + (k + 1) * width, width, out.panel(g, j) + k / 2 * width);
  });
}

/// Forward pass (with a bias unless that is null, or sums per channel unless `sum` is null) or, with input_grad, dx from
/// dy. An even number of source channels in each group.
inline void conv2d_pairs(const ConvShape& s, bool input_grad, const bfloat16* source, const float* w, const float* bias,
                         bfloat16* result, const float* center, double* sum, double* sum_sq) {
  ConvShape paired = s;
  (input_grad ? paired.o : paired.c) /= 2;
  const bool windows = !input_grad && detail::takes_windows(paired);
  const PackedWeights packed(s.groups, windows ? s.kh : s.taps(),
                             windows ? s.kw * paired.c : (input_grad ? paired.o : paired.c) / s.groups,
                             input_grad ? s.group_c() : s.group_o());
  pack_pairs(s, input_grad, w, packed);
  const float* pairs = reinterpret_cast<const float*>(source);
  if (input_grad) {
    for (const detail::Correlation& c : detail::input_grad_correlations(paired))
      correlate<true>(c, detail::TilePlan(c, tile_rows), packed, pairs, result, {.streams = streams_results(c, packed, result)});
  } else {
    const detail::Correlation c = detail::forward_correlation(paired, windows);
    if (sum) correlate_sums<true>(c, packed, pairs, result, center, sum, sum_sq);
    else
      correlate<true>(c, detail::TilePlan(c, tile_rows), packed, pairs, result,
                      {.bias = bias, .streams = streams_results(c, packed, result)});
  }
}

/// The weight gradient of one group: dw (O,taps,C) = sum over result pixels of dy[pixel,o] · x[pixel moved by tap, c]. With
/// few channels a row of the kernel is one tap of kw·C numbers, if no padding of columns parts them.
class PairedWeightGrad {
 public:
  static constexpr std::int64_t block = 1024;  // pixels whose panels fit into the second cache, and pass over dw seldom
  static constexpr std::int64_t dy_panel = block / 2 * tile_rows + 16;  // panels apart by a power of two would share cache sets
  static constexpr std::int64_t x_panel = block / 2 * tile_columns + 16;

  PairedWeightGrad(const ConvShape& s, std::int64_t group, const bfloat16* x, const bfloat16* dy)
      : s_(s),
        x_(x + group * s.group_c()),
        dy_(dy + group * s.group_o()),
        pixels_(s.n * s.oh() * s.ow()),
        window_(detail::takes_windows(s) && s.pad_w == 0 ? s.kw : 1),
        taps_(s.taps() / window_),
        columns_(window_ * s.group_c()) {}
  static std::int64_t blocks(const ConvShape& s) { return (s.n * s.oh() * s.ow() + block - 1) / block; }

  /// Output channels [o_begin, o_end) of the group, blocks [begin, end); dw is the group's.
  void run(std::int64_t o_begin, std::int64_t o_end, std::int64_t begin, std::int64_t end, float* dw) const {
    const std::int64_t o_panels = (o_end - o_begin + tile_rows - 1) / tile_rows;
    const Workspace<float> dy(o_panels * dy_panel), x(panels_held(columns_) * x_panel);
    const Workspace<const bfloat16*> seen(block);
    std::memset(dy.data(), 0, sizeof(float) * static_cast<std::size_t>(dy.size()));  // also what lies behind the last channel
    std::memset(x.data(), 0, sizeof(float) * static_cast<std::size_t>(x.size()));
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t first = at * block, count = pixels_ - first < block ? pixels_ - first : block;
      for (std::int64_t p = 0; p < count; p += 2)
        pack_dy(dy_ + (first + p) * s_.o + o_begin, p + 1 < count ? s_.o : 0, o_end - o_begin, dy.data() + p / 2 * tile_rows);
      for (std::int64_t tap = 0; tap < taps_; ++tap) {
        find(first, count, tap, seen.data());
        for (std::int64_t c = 0; c < columns_; c += tile_columns) {
          const std::int64_t width = columns_ - c < tile_columns ? columns_ - c : tile_columns,
                             step = width > lanes ? tile_columns : lanes;
          const std::int64_t which = c / tile_columns % panels_at_once, together = panels_at_once * tile_columns;
          if (which == 0) pack_x(seen.data(), (count + 1) / 2, c, columns_ - c < together ? columns_ - c : together, x.data());
          OuterInput in{nullptr, (count + 1) / 2, nullptr, x.data() + which * x_panel, step};
          for (std::int64_t j = 0; j < o_panels; ++j) {
            const std::int64_t o = o_begin + j * tile_rows, height = o_end - o < tile_rows ? o_end - o : tile_rows;
            float* rows[tile_rows];
            for (std::int64_t r = 0; r < height; ++r) rows[r] = dw + ((o + r) * taps_ + tap) * columns_;
            in.a = dy.data() + j * dy_panel;
            run_outer_tile<true>(in, rows, c, static_cast<int>(height), static_cast<int>(width), at > begin);
          }
        }
      }
    }
  }

 private:
  /// `channels` of two neighbouring pixels of dy (`next` numbers apart; 0: there is no second one), to all panels.
  SSLCAKE_SIMD_TARGET static void pack_dy(const bfloat16* dy, std::int64_t next, std::int64_t channels, float* out) {
    std::int64_t o = 0;
    if constexpr (tile_rows == 8)
      for (; o + 8 <= channels; o += 8, out += dy_panel) interleave_eight(dy + o, next ? dy + o + next : nullptr, out);
    for (; o < channels; o += tile_rows, out += dy_panel)
      interleave(dy + o, next ? dy + o + next : nullptr, channels - o < tile_rows ? channels - o : tile_rows, out);
  }

  /// Channels [c, c + count) of pairs of pixels, in panels.
  SSLCAKE_SIMD_TARGET static void pack_x(const bfloat16* const* seen, std::int64_t pairs, std::int64_t c, std::int64_t count,
                                         float* out) {
    const std::int64_t whole = count / tile_columns, rest = count % tile_columns, step = rest > lanes ? tile_columns : lanes;
    for (std::int64_t p = 0; p < pairs; ++p) {
      const bfloat16 *first = seen[2 * p], *second = seen[2 * p + 1];
      if (const std::int64_t soon = p + rows_ahead / 2; soon < pairs)
        for (int i = 0; i < 2; ++i)
          if (const bfloat16* pixel = seen[2 * soon + i]) prefetch_row(pixel + c, count);
      if (first) first += c;
      if (second) second += c;
      float* to = out + p * tile_columns;
      for (std::int64_t k = 0; k < whole; ++k, to += x_panel) {
        interleave_vector(first, second, to);
        interleave_vector(first ? first + lanes : nullptr, second ? second + lanes : nullptr, to + lanes);
        if (first) first += tile_columns;
        if (second) second += tile_columns;
      }
      if (rest > 0) interleave(first, second, rest, out + whole * x_panel + p * step);
    }
  }

  /// The pixels of x that result pixels [first, first + count) meet at a tap; null in the padding and behind the last.
  void find(std::int64_t first, std::int64_t count, std::int64_t tap, const bfloat16** seen) const {
    const std::int64_t rows = s_.oh(), columns = s_.ow(), kernel_columns = s_.kw / window_;
    const std::int64_t down = tap / kernel_columns * s_.dilation_h - s_.pad_h,
                       right = tap % kernel_columns * s_.dilation_w - s_.pad_w;
    std::int64_t n = first / (rows * columns), p = first / columns % rows, q = first % columns;
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int64_t i = p * s_.stride_h + down, j = q * s_.stride_w + right;
      seen[k] = i >= 0 && i < s_.h && j >= 0 && j < s_.w ? x_ + ((n * s_.h + i) * s_.w + j) * s_.c : nullptr;
      if (++q < columns) continue;
      q = 0;
      if (++p == rows) p = 0, ++n;
    }
    if (count < block) seen[count] = nullptr;
  }

  const ConvShape& s_;
  const bfloat16 *x_, *dy_;
  std::int64_t pixels_, window_, taps_, columns_;  // window: columns of the kernel that are one tap
};

inline void conv2d_weight_grad_pairs(const ConvShape& s, const bfloat16* x, const bfloat16* dy, float* dw) {
  const std::int64_t floats = s.o * s.taps() * s.group_c(), blocks = PairedWeightGrad::blocks(s);
  if (blocks == 0 || floats == 0) {
    std::fill_n(dw, floats, 0.0f);
    return;
  }
  const WeightGradGrid grid(s, blocks);
  const Workspace<float> partial(grid.pixel_parts > 1 ? grid.pixel_parts * floats : 0);
  parallel_chunks(grid.count(), [&](std::int64_t part) {
    const std::int64_t z = part % grid.pixel_parts, y = part / grid.pixel_parts % grid.parts_per_group;
    const std::int64_t group = part / grid.pixel_parts / grid.parts_per_group, panels = (s.group_o() + tile_rows - 1) / tile_rows;
    const std::int64_t o_begin = panels * y / grid.parts_per_group * tile_rows,
                       o_end = panels * (y + 1) / grid.parts_per_group * tile_rows;
    float* to = grid.pixel_parts > 1 ? partial.data() + z * floats : dw;
    PairedWeightGrad(s, group, x, dy).run(o_begin, o_end < s.group_o() ? o_end : s.group_o(), blocks * z / grid.pixel_parts,
                                          blocks * (z + 1) / grid.pixel_parts, to + group * (floats / s.groups));
  });
  if (grid.pixel_parts > 1) add_parts(grid.pixel_parts, floats, partial.data(), dw);
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
