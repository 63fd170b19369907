// Convolution, gradient of the weights:  dw[o,tap,c] = sum over pixels of dy[pixel,o] · x[pixel moved by tap, c].
// Pixels are cut into blocks; of each block, dy and x are copied into panels of a few channels that fit into the first
// cache together, and all tiles of (o, tap, c) pass over them. Read once per instruction set, see tile.hpp.
#if defined(SSLCAKE_SIMD_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

/// How the work is cut, from the extents alone: pixel blocks into parts that each sum into a matrix of their own, and
/// output channels into parts that write to different places.
struct WeightGradGrid {
  std::int64_t groups, parts_per_group = 1, pixel_parts = 1;

  WeightGradGrid(const ConvShape& s, std::int64_t blocks) : groups(s.groups) {
    const std::int64_t floats = s.o * s.taps() * s.group_c(), pixels = s.n * s.oh() * s.ow();
    // Adding up private matrices costs as much as some hundred pixels each, and memory: 16 MB at most.
    const auto may_double = [&] {
      const std::int64_t parts = 2 * pixel_parts;
      return parts <= blocks && parts * 2048 <= pixels && parts * floats <= (4 << 20);
    };
    while (count() < 32 && may_double()) pixel_parts *= 2;
    // Every part of the channels packs x anew, which many channels pay for.
    while (count() < 32 && s.group_o() / parts_per_group >= 32 * tile_rows) parts_per_group *= 2;
  }
  std::int64_t count() const { return groups * parts_per_group * pixel_parts; }
};

/// What all parts share. With few channels a row of the kernel is one tap (see correlation.hpp), found in a copy of x
/// with a border of zeros; otherwise x is packed channel panel by channel panel.
struct WeightGrad {
  const ConvShape& s;
  const float* x;
  const float* dy;
  bool windows;
  std::int64_t taps, columns;  // the result is (O, taps, columns)
  std::int64_t step_h, step_w;  // 1x1 kernels see only every such pixel of x; others are not packed
  detail::PixelBlocks blocks;

  WeightGrad(const ConvShape& shape, const float* x_, const float* dy_, std::int64_t wanted)
      : s(shape), x(x_), dy(dy_), windows(detail::takes_windows(shape)), taps(windows ? s.kh : s.taps()),
        columns(windows ? s.kw * s.c : s.group_c()), step_h(is_sparse(s) ? s.stride_h : 1),
        step_w(is_sparse(s) ? s.stride_w : 1), blocks(is_sparse(s) ? seen_pixels(s) : s, wanted, windows) {}

  static bool is_sparse(const ConvShape& s) { return s.taps() == 1 && s.pad_h == 0 && s.pad_w == 0; }
  static ConvShape seen_pixels(const ConvShape& s) { return {.n = s.n, .h = s.oh(), .w = s.ow(), .c = s.c, .o = s.o}; }
};

/// Pixels of one block: a span of rows in some images.
struct BlockRange {
  const detail::PixelBlocks::Span& span;
  std::int64_t image, images;
};

/// dy of one block, channels [o, o + count): panels of tile_rows channels, `panel` numbers apart.
inline void pack_dy(const WeightGrad& job, const BlockRange& block, std::int64_t o, std::int64_t count, std::int64_t panel,
                    float* out) {
  const ConvShape& s = job.s;
  const std::int64_t ow = s.ow(), pixels = (block.span.row_end - block.span.row_begin) * ow;
  for (std::int64_t n = block.image; n < block.image + block.images; ++n, out += pixels * tile_rows)
    pack_columns({job.dy + (n * s.oh() + block.span.row_begin) * ow * s.o + o, 1, s.o}, count, pixels, panel, out);
}

/// So many panels of x are packed in one go: channels that lie side by side are fetched together.
inline constexpr std::int64_t panels_at_once = 4;
/// How many there are at most for so many channels.
inline std::int64_t panels_held(std::int64_t channels) {
  const std::int64_t panels = (channels + tile_columns - 1) / tile_columns;
  return panels < panels_at_once ? panels : panels_at_once;
}

/// x of one block, channels [c, c + count) of a group, in panels `panel` numbers apart: rows of tile_columns numbers, or of
/// `lanes` in the last where that is enough, zeros behind the last channel.
inline void pack_x(const WeightGrad& job, const BlockRange& block, std::int64_t c, std::int64_t count, std::int64_t panel,
                   float* out) {
  const ConvShape& s = job.s;
  const std::int64_t step = job.step_w * s.c, whole = count / tile_columns, rest = count % tile_columns;
  const std::int64_t width = rest > lanes ? tile_columns : lanes;
  std::int64_t at = 0;
  for (std::int64_t n = block.image; n < block.image + block.images; ++n)
    for (std::int64_t i = block.span.source_begin; i < block.span.source_end; ++i) {
      const float* from = job.x + (n * s.h + i * job.step_h) * s.w * s.c + c;
      for (std::int64_t q = 0; q < job.blocks.pitch; ++q, from += step, ++at) {
        if (q + rows_ahead < job.blocks.pitch) prefetch_row(from + rows_ahead * step, count);
        for (std::int64_t k = 0; k < whole; ++k)
          std::memcpy(out + k * panel + at * tile_columns, from + k * tile_columns, sizeof(float) * tile_columns);
        if (rest > 0) {
          float* last = out + whole * panel + at * width;
          for (std::int64_t j = 0; j < width; ++j) last[j] = j < rest ? from[whole * tile_columns + j] : 0.0f;
        }
      }
    }
}

/// Output channels [o_begin, o_end) of one group, pixel blocks [block_begin, block_end).
inline void weight_grad_part(const WeightGrad& job, std::int64_t group, std::int64_t o_begin, std::int64_t o_end,
                             std::int64_t block_begin, std::int64_t block_end, float* dw) {
  const ConvShape& s = job.s;
  const detail::PixelBlocks& blocks = job.blocks;
  const std::int64_t spans = static_cast<std::int64_t>(blocks.spans.size());
  const std::int64_t o_panels = (o_end - o_begin + tile_rows - 1) / tile_rows, dy_panel = blocks.most_pixels * tile_rows + 16;
  const Workspace<float> dy(o_panels * dy_panel);
  // The last window is read as whole vectors, a little beyond its end.
  const std::int64_t x_panel =
      blocks.most_source_pixels * tile_columns + 16;  // apart by a power of two they would share cache sets
  const Workspace<float> x(job.windows ? blocks.most_source_pixels * s.c + tile_columns : panels_held(job.columns) * x_panel);
  if (job.windows) std::memset(x.data() + x.size() - tile_columns, 0, sizeof(float) * tile_columns);
  for (std::int64_t at = block_begin; at < block_end; ++at) {
    const std::int64_t image = at / spans * blocks.images;
    const BlockRange block{blocks.spans[static_cast<std::size_t>(at % spans)], image,
                           s.n - image < blocks.images ? s.n - image : blocks.images};
    pack_dy(job, block, o_begin, o_end - o_begin, dy_panel, dy.data());
    if (job.windows) {
      const std::int64_t rows = block.span.source_end - block.span.source_begin;
      for (std::int64_t n = 0; n < block.images; ++n)
        detail::copy_bordered(job.x + (image + n) * s.h * s.w * s.c, s.h, s.w, s.c, block.span.source_begin,
                              block.span.source_end, -s.pad_w, s.w + s.pad_w, x.data() + n * rows * blocks.pitch * s.c);
    }
    for (std::int64_t c = 0; c < job.columns; c += tile_columns) {
      const int width = static_cast<int>(job.columns - c < tile_columns ? job.columns - c : tile_columns);
      const std::int64_t x_step = job.windows ? s.c : width > lanes ? tile_columns : lanes;
      const std::int64_t which = c / tile_columns % panels_at_once, together = panels_at_once * tile_columns;
      if (!job.windows && which == 0)
        pack_x(job, block, group * s.group_c() + c, job.columns - c < together ? job.columns - c : together, x_panel, x.data());
      for (std::int64_t tap = 0; tap < job.taps; ++tap) {
        const auto t = static_cast<std::size_t>(tap);
        OuterInput in{block.span.lists->pairs.data() + 2 * block.span.lists->tap_begin[t],
                      block.span.lists->per_image[t] * block.images, nullptr,
                      job.windows ? x.data() + c : x.data() + which * x_panel, x_step};
        for (std::int64_t j = 0; j < o_panels; ++j) {
          const std::int64_t o = o_begin + j * tile_rows;
          const int height = static_cast<int>(o_end - o < tile_rows ? o_end - o : tile_rows);
          float* rows[tile_rows];
          for (int r = 0; r < height; ++r) rows[r] = dw + ((o + r) * job.taps + tap) * job.columns;
          in.a = dy.data() + j * dy_panel;
          run_outer_tile(in, rows, c, height, width, at > block_begin);
        }
      }
    }
  }
}

/// dw = the sum of `parts` matrices, in order.
inline void add_parts(std::int64_t parts, std::int64_t floats, const float* partial, float* dw) {
  parallel_for(floats, 16384, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) dw[i] = partial[i];
    for (std::int64_t z = 1; z < parts; ++z)
      for (std::int64_t i = begin; i < end; ++i) dw[i] += partial[z * floats + i];
  });
}

inline void conv2d_weight_grad(const ConvShape& s, const float* x, const float* dy, float* dw) {
  const std::int64_t floats = s.o * s.taps() * s.group_c();
  if (floats == 0) return;
  if (is_depthwise(s)) return depthwise_weight_grad(s, x, dy, dw);
  // A 1x1 kernel that sees every pixel has no geometry: the gradient is one product, dyᵀ·x.
  if (WeightGrad::is_sparse(s) && s.stride_h == 1 && s.stride_w == 1 && s.groups == 1)
    return gemm(true, false, s.o, s.c, s.n * s.h * s.w, dy, s.o, x, s.c, dw, s.c, false);
  const WeightGrad job(s, x, dy, 512);
  if (job.blocks.count() == 0) {
    std::memset(dw, 0, sizeof(float) * static_cast<std::size_t>(floats));
    return;
  }
  const WeightGradGrid grid(s, job.blocks.count());
  const Workspace<float> partial(grid.pixel_parts > 1 ? grid.pixel_parts * floats : 0);
  parallel_chunks(grid.count(), [&](std::int64_t part) {
    const std::int64_t z = part % grid.pixel_parts, y = part / grid.pixel_parts % grid.parts_per_group;
    const std::int64_t group = part / grid.pixel_parts / grid.parts_per_group;
    const std::int64_t panels = (s.group_o() + tile_rows - 1) / tile_rows, first = group * s.group_o();
    const std::int64_t o_begin = panels * y / grid.parts_per_group * tile_rows;
    const std::int64_t o_end = panels * (y + 1) / grid.parts_per_group * tile_rows;
    const std::int64_t blocks = job.blocks.count();
    weight_grad_part(job, group, first + o_begin, first + (o_end < s.group_o() ? o_end : s.group_o()),
                     blocks * z / grid.pixel_parts, blocks * (z + 1) / grid.pixel_parts,
                     grid.pixel_parts > 1 ? partial.data() + z * floats : dw);
  });
  if (grid.pixel_parts > 1) add_parts(grid.pixel_parts, floats, partial.data(), dw);
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
