// Convolution, gradient of the weights, on tiles: dw(o, tap, c) = sum over pixels of dy(pixel, o) · x(pixel moved by tap, c),
// the sum running along the tiles' inner side. Both factors have channels as neighbours, and tiles want the left one with
// pixels as neighbours and the right one in pairs of pixels. So dy, the factor without taps, is transposed, once per block of
// pixels; x, of which every tap needs another piece, is only interleaved, once as well: in a RowPlan's order of elements a tap
// moves whole pairs (of images, where groups are even), so that all taps read one copy.
//
//   a[32 outputs][step][two tiles][16 outputs][32 pixels]      b[row][remainder][pair of elements][channels + pad][2]
//
// Counted: a block of 32x32 weights takes 4 KB and 64 cycles per step of 32 pixels, as in product.hpp. A part of the work owns at
// most 128 x 128 channels (256 x 256 of 1x1 kernels) and passes over its pixels in blocks of 512; the 16 steps of x for 32
// channels (32 KB) stay in the first cache while the outputs pass, dy streams from the second, and so do the sums: 8 KB per 16 ·
// 64 cycles. x is packed once per part of the outputs, dy once per part of the inputs; turning 32 outputs of a step takes some
// 200 cycles, three blocks' products, which a 1x1 kernel of few channels feels and a 3x3 one does not. None of this was measured.
// What it costs besides: a not-a-number or an infinite pixel can spoil the weights of all taps of its channel, not only of
// those that see it, as it meets zeros where a block is filled up.
//
// Partial sums of parts of the pixels are added in order; how the work is cut follows from the shape alone.
#if defined(SSLCAKE_TILES_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_TILES_NAMESPACE {

class TiledWeightGrad {
 public:
  /// Of one group, at whose first channels x and dy begin.
  TiledWeightGrad(const ConvShape& s, const bfloat16* x, const bfloat16* dy)
      : whole_(detail::forward_correlation(s, false)),
        patches_(detail::takes_patches(whole_)),
        c_(patches_ ? detail::patches(whole_) : detail::flattened(whole_)),
        x_(x),
        dy_(dy),
        outputs_(s.group_o()),
        columns_(c_.source_channels),
        taps_(static_cast<std::int64_t>(c_.taps.size())),
        most_units_(taps_ == 1 ? 8 : 4),
        o_parts_(units(units(outputs_, 32), most_units_)),
        c_parts_(units(units(columns_, 32), most_units_)),
        // A pad of 16 numbers, or all pairs' lines of some channels would meet in a few sets of the first cache.
        depth_(std::min(units(columns_, 32), most_units_) * 32 + 16),
        plan_(c_, {.channels = depth_, .blocks = 16, .paired = true}),
        reader_(whole_) {
    // Adding up private matrices costs as much as some hundred pixels each, and memory: 16 MB at most.
    const std::int64_t pixels = s.n * s.oh() * s.ow();
    while (o_parts_ * c_parts_ * pixel_parts_ < 32 && 2 * pixel_parts_ <= plan_.parts() && 4096 * pixel_parts_ <= pixels &&
           2 * pixel_parts_ * numbers() <= (4 << 20))
      pixel_parts_ *= 2;
  }

  void run(float* dw) const {
    if (numbers() == 0) return;
    if (plan_.parts() == 0) {
      std::fill_n(dw, numbers(), 0.0f);
      return;
    }
    const Workspace<float> partial(pixel_parts_ > 1 ? pixel_parts_ * numbers() : 0);
    parallel_chunks(o_parts_ * c_parts_ * pixel_parts_, [&](std::int64_t chunk) {
      const std::int64_t z = chunk % pixel_parts_, y = chunk / pixel_parts_ % c_parts_, x = chunk / pixel_parts_ / c_parts_;
      run_part(x, y, plan_.parts() * z / pixel_parts_, plan_.parts() * (z + 1) / pixel_parts_,
               pixel_parts_ > 1 ? partial.data() + z * numbers() : dw);
    });
    if (pixel_parts_ == 1) return;
    parallel_for(numbers(), 16384, [&](std::int64_t begin, std::int64_t end) {
      std::copy(partial.data() + begin, partial.data() + end, dw + begin);
      for (std::int64_t z = 1; z < pixel_parts_; ++z)
        for (std::int64_t i = begin; i < end; ++i) dw[i] += partial[z * numbers() + i];
    });
  }

 private:
  std::int64_t numbers() const { return outputs_ * taps_ * columns_; }

  void run_part(std::int64_t o_part, std::int64_t c_part, std::int64_t begin, std::int64_t end, float* dw) const {
    const std::int64_t o_units = units(outputs_, 32), c_units = units(columns_, 32);
    const std::int64_t o_begin = o_units * o_part / o_parts_, o_count = o_units * (o_part + 1) / o_parts_ - o_begin;
    const std::int64_t c_begin = c_units * c_part / c_parts_, c_count = c_units * (c_part + 1) / c_parts_ - c_begin;
    const std::int64_t channels = std::min(columns_ - 32 * c_begin, 32 * c_count), panel = plan_.most_blocks() * 1024 + 32;
    const Workspace<bfloat16> a(o_count * panel), b(plan_.buffer_elements() * depth_);
    const Workspace<float> sums(taps_ * c_count * o_count * 1024);
    const Workspace<std::int64_t> at(plan_.most_blocks() * detail::RowPlan::block);
    std::vector<Step> steps;
    const amx::ConfiguredTiles<SSLCAKE_TILES_POLICY> tiles;
    for (std::int64_t index = begin; index < end; ++index) {
      const detail::RowPlan::Part part = plan_.part(index);
      fill_pairs({plan_, c_, patches_ ? &reader_ : nullptr, x_, 32 * c_begin, channels, depth_}, part, b.data());
      plan_.results(part, at.data());
      turn(part, at.data(), 32 * o_begin, o_count, panel, a.data());
      float* to = sums.data();
      for (std::int64_t tap = 0; tap < taps_; ++tap) {
        list_steps(part, static_cast<std::size_t>(tap), steps);
        for (std::int64_t c = 0; c < c_count; ++c)
          for (std::int64_t o = 0; o < o_count; ++o, to += 1024)
            run_block(outputs_ - 32 * (o_begin + o), columns_ - 32 * (c_begin + c), steps.data(),
                      static_cast<std::int64_t>(steps.size()),
                      {a.data() + o * panel, b.data() + 64 * c, 64, 1024, 4 * depth_, 64}, to, index > begin);
      }
    }
    const float* from = sums.data();
    for (std::int64_t tap = 0; tap < taps_; ++tap)
      for (std::int64_t c = c_begin; c < c_begin + c_count; ++c)
        for (std::int64_t o = o_begin; o < o_begin + o_count; ++o, from += 1024)
          for (std::int64_t r = 0; r < std::min<std::int64_t>(outputs_ - 32 * o, 32); ++r)
            for (std::int64_t k = 0; k < std::min<std::int64_t>(columns_ - 32 * c, 32); k += 16)
              std::copy_n(from + place(r, k), std::min<std::int64_t>(columns_ - 32 * c - k, 16),
                          dw + ((32 * o + r) * taps_ + tap) * columns_ + 32 * c + k);
  }

  /// The part's blocks that see the picture through a tap.
  void list_steps(const detail::RowPlan::Part& part, std::size_t tap, std::vector<Step>& steps) const {
    steps.clear();
    std::int64_t k = 0;
    for (std::int64_t p = part.row_begin; p < part.row_end; ++p)
      for (std::int64_t b = part.block_begin; b < part.block_end; ++b, ++k)
        if (plan_.inside(tap, p, b)) steps.push_back({2048 * k, (plan_.begin(part, p, b) + plan_.shift(tap)) * depth_ * 2});
  }

  /// dy of the part's pixels, `count` panels of 32 outputs from o on, pixels becoming neighbours; zeros where there are none.
  void turn(const detail::RowPlan::Part& part, const std::int64_t* at, std::int64_t o, std::int64_t count, std::int64_t panel,
            bfloat16* out) const {
    const std::int64_t wanted = std::min(outputs_ - o, 32 * count), row = 64 * count;
    const Workspace<bfloat16> pairs(16 * row);  // [16 pairs of pixels][outputs][2]
    if (wanted < 32 * count) std::fill_n(pairs.data(), pairs.size(), bfloat16{});
    for (std::int64_t p = part.row_begin; p < part.row_end; ++p) {
      const bfloat16* dy = dy_ + plan_.result_row(part, p) + o;
      for (std::int64_t b = 0; b < part.block_end - part.block_begin; ++b, out += 1024) {
        for (std::int64_t pair = 0; pair < 16; ++pair) {
          const std::int64_t first = at[32 * b + 2 * pair], second = at[32 * b + 2 * pair + 1];
          interleave(first < 0 ? nullptr : dy + first, second < 0 ? nullptr : dy + second, wanted, pairs.data() + row * pair);
        }
        for (std::int64_t tile = 0; tile < 2 * count; ++tile)
          transpose_pairs(pairs.data() + 32 * tile, row, out + tile / 2 * panel + tile % 2 * 512);
      }
    }
  }

  const detail::Correlation whole_;
  const bool patches_;
  const detail::Correlation c_;
  const bfloat16 *x_, *dy_;
  const std::int64_t outputs_, columns_, taps_, most_units_, o_parts_, c_parts_, depth_;
  const detail::RowPlan plan_;
  const PatchReader reader_;
  std::int64_t pixel_parts_ = 1;
};

inline void conv2d_weight_grad_pairs(const ConvShape& s, const bfloat16* x, const bfloat16* dy, float* dw) {
  for (std::int64_t g = 0; g < s.groups; ++g)
    TiledWeightGrad(s, x + g * s.group_c(), dy + g * s.group_o()).run(dw + g * s.group_o() * s.taps() * s.group_c());
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_TILES_NAMESPACE

#endif
