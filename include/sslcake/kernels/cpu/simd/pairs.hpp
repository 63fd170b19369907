// Convolutions on pairs of bfloat16, two products to an instruction: forward pass and input gradient as in correlate.hpp,
// a pair of neighbouring source channels taking the place of one; the weight gradient of 1x1 kernels on pairs of pixels.
// Read once per instruction set, see tile.hpp.
#if defined(SSLCAKE_SIMD_NAMESPACE) && defined(SSLCAKE_SIMD_PAIRS)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

/// out[j] = (first[j], second[j]); second may be null (zeros).
SSLCAKE_SIMD_TARGET inline void interleave(const bfloat16* first, const bfloat16* second, std::int64_t count, float* out) {
  typedef std::uint16_t Half __attribute__((vector_size(2 * lanes)));
  typedef std::uint32_t Bits __attribute__((vector_size(4 * lanes)));
  std::int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    Half low, high{};
    __builtin_memcpy(&low, first + j, sizeof low);
    if (second) __builtin_memcpy(&high, second + j, sizeof high);
    const Bits bits = __builtin_convertvector(low, Bits) | __builtin_convertvector(high, Bits) << 16;
    __builtin_memcpy(out + j, &bits, sizeof bits);
  }
  for (; j < count; ++j) {
    const std::uint32_t bits = first[j].bits | (second ? std::uint32_t{second[j].bits} << 16 : 0u);
    __builtin_memcpy(out + j, &bits, sizeof bits);
  }
}

/// Weights rounded and packed by pairs of source channels, of which there is an even number.
inline void pack_pairs(const ConvShape& s, bool input_grad, const float* w, const PackedWeights& out) {
  const std::int64_t row = s.taps() * s.c, depth = 2 * out.depth;
  parallel_chunks(out.panels, [&](std::int64_t j) {
    const std::int64_t width = panel_width(out.results, j), rows = s.taps() * depth;
    const Workspace<float> panel(rows * width);
    const Workspace<bfloat16> rounded(rows * width);
    for (std::int64_t tap = 0; tap < s.taps(); ++tap) {
      const detail::View forward{w + j * tile_columns * row + tap * s.c, 1, row}, turned{w + tap * s.c + j * tile_columns, row, 1};
      pack_panel(input_grad ? turned : forward, depth, out.width(j), width, panel.data() + tap * depth * width);
    }
    narrow(rows * width, panel.data(), rounded.data());
    for (std::int64_t k = 0; k < rows; k += 2)
      interleave(rounded.data() + k * width, rounded.data() + (k + 1) * width, width, out.panel(0, j) + k / 2 * width);
  });
}

/// Forward pass (with sums per channel unless `sum` is null) or, with input_grad, dx from dy. One group, an even number of
/// source channels.
inline void conv2d_pairs(const ConvShape& s, bool input_grad, const bfloat16* source, const float* w, float* result,
                         const float* center, double* sum, double* sum_sq) {
  ConvShape paired = s;
  (input_grad ? paired.o : paired.c) /= 2;
  const PackedWeights packed(1, s.taps(), (input_grad ? s.o : s.c) / 2, input_grad ? s.c : s.o);
  pack_pairs(s, input_grad, w, packed);
  const float* pairs = reinterpret_cast<const float*>(source);
  if (input_grad) {
    for (const detail::Correlation& c : detail::input_grad_correlations(paired))
      correlate<true>(c, detail::TilePlan(c, tile_rows), packed, pairs, result);
  } else {
    const detail::Correlation c = detail::forward_correlation(paired, false);
    if (sum) correlate_sums<true>(c, packed, pairs, result, center, sum, sum_sq);
    else correlate<true>(c, detail::TilePlan(c, tile_rows), packed, pairs, result);
  }
}

/// The weight gradient of a 1x1 kernel without padding, one group: dw (O,C) = sum over pixels of dy[pixel,o] · x[pixel,c].
class PairedWeightGrad {
 public:
  static constexpr std::int64_t block = 256;  // pixels whose panels fit into the first cache

  PairedWeightGrad(const ConvShape& s, const bfloat16* x, const bfloat16* dy) : s_(s), x_(x), dy_(dy), pixels_(s.n * s.oh() * s.ow()) {
    for (std::int32_t i = 0; i < block / 2; ++i) identity_[2 * i] = identity_[2 * i + 1] = i;
  }
  std::int64_t blocks() const { return (pixels_ + block - 1) / block; }

  /// Output channels [o_begin, o_end), blocks [begin, end).
  void run(std::int64_t o_begin, std::int64_t o_end, std::int64_t begin, std::int64_t end, float* dw) const {
    const std::int64_t o_panels = (o_end - o_begin + tile_rows - 1) / tile_rows, panel = block / 2 * tile_rows;
    const Workspace<float> dy(o_panels * panel), x(block / 2 * tile_columns);
    std::memset(dy.data(), 0, sizeof(float) * static_cast<std::size_t>(dy.size()));  // also what lies behind the last channel
    std::memset(x.data(), 0, sizeof(float) * static_cast<std::size_t>(x.size()));
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t first = at * block, last = first + block < pixels_ ? first + block : pixels_;
      for (std::int64_t j = 0; j < o_panels; ++j) {
        const std::int64_t o = o_begin + j * tile_rows, count = o_end - o < tile_rows ? o_end - o : tile_rows;
        for (std::int64_t p = first; p < last; p += 2)
          interleave(dy_ + p * s_.o + o, p + 1 < last ? dy_ + (p + 1) * s_.o + o : nullptr, count,
                     dy.data() + j * panel + (p - first) / 2 * tile_rows);
      }
      for (std::int64_t c = 0; c < s_.c; c += tile_columns) {
        const std::int64_t width = s_.c - c < tile_columns ? s_.c - c : tile_columns, step = width > lanes ? tile_columns : lanes;
        for (std::int64_t p = first; p < last; p += 2)
          interleave(pixel(p) + c, p + 1 < last ? pixel(p + 1) + c : nullptr, width, x.data() + (p - first) / 2 * step);
        OuterInput in{identity_, (last - first + 1) / 2, nullptr, x.data(), step};
        for (std::int64_t j = 0; j < o_panels; ++j) {
          const std::int64_t o = o_begin + j * tile_rows, height = o_end - o < tile_rows ? o_end - o : tile_rows;
          float* rows[tile_rows];
          for (std::int64_t r = 0; r < height; ++r) rows[r] = dw + (o + r) * s_.c;
          in.a = dy.data() + j * panel;
          run_outer_tile<true>(in, rows, c, static_cast<int>(height), static_cast<int>(width), at > begin);
        }
      }
    }
  }

 private:
  /// The pixel of x that result pixel p sees.
  const bfloat16* pixel(std::int64_t p) const {
    if (s_.stride_h == 1 && s_.stride_w == 1) return x_ + p * s_.c;
    const std::int64_t n = p / (s_.oh() * s_.ow()), i = p / s_.ow() % s_.oh() * s_.stride_h, j = p % s_.ow() * s_.stride_w;
    return x_ + ((n * s_.h + i) * s_.w + j) * s_.c;
  }

  const ConvShape& s_;
  const bfloat16 *x_, *dy_;
  std::int64_t pixels_;
  std::int32_t identity_[block];
};

inline void conv2d_weight_grad_pairs(const ConvShape& s, const bfloat16* x, const bfloat16* dy, float* dw) {
  const PairedWeightGrad job(s, x, dy);
  const std::int64_t floats = s.o * s.c;
  if (job.blocks() == 0 || floats == 0) {
    std::fill_n(dw, floats, 0.0f);
    return;
  }
  const WeightGradGrid grid(s, job.blocks());
  const Workspace<float> partial(grid.pixel_parts > 1 ? grid.pixel_parts * floats : 0);
  parallel_chunks(grid.count(), [&](std::int64_t part) {
    const std::int64_t z = part % grid.pixel_parts, y = part / grid.pixel_parts, panels = (s.o + tile_rows - 1) / tile_rows;
    const std::int64_t o_begin = panels * y / grid.parts_per_group * tile_rows, o_end = panels * (y + 1) / grid.parts_per_group * tile_rows;
    job.run(o_begin, o_end < s.o ? o_end : s.o, job.blocks() * z / grid.pixel_parts, job.blocks() * (z + 1) / grid.pixel_parts,
            grid.pixel_parts > 1 ? partial.data() + z * floats : dw);
  });
  if (grid.pixel_parts > 1) add_parts(grid.pixel_parts, floats, partial.data(), dw);
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
