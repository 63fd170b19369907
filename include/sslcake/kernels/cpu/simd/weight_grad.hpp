// Convolution, gradient of the weights:  dw[o,tap,c] = sum over pixels of dy[pixel,o] · x[pixel moved by tap, c].
// Pixels are cut into blocks; of each block, dy and x are copied into panels of a few channels that fit into the first
// cache together, and all tiles of (o, tap, c) pass over them. Read once per instruction set, see tile.hpp.
#if defined(SSLCAKE_SIMD_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

/// How the work is cut, from the extents alone: output channels into parts that write to different places, pixel
/// blocks into parts that each sum into a matrix of their own.
struct WeightGradGrid {
  std::int64_t groups, parts_per_group, pixel_parts;

  WeightGradGrid(const ConvShape& s, std::int64_t blocks) : groups(s.groups), parts_per_group(1), pixel_parts(1) {
    const std::int64_t floats = s.o * s.taps() * s.group_c();
    constexpr std::int64_t most_floats = 4 << 20;  // of all private matrices together
    while (groups * parts_per_group * pixel_parts < 32) {
      // Every part packs x anew, which pays for many output channels; private matrices cost memory and their sum.
      if (floats <= 65536 && blocks / pixel_parts >= 4 && 2 * pixel_parts * floats <= most_floats) pixel_parts *= 2;
      else if (s.group_o() / parts_per_group >= 8 * tile_rows) parts_per_group *= 2;
      else if (blocks / pixel_parts >= 4 && 2 * pixel_parts * floats <= most_floats) pixel_parts *= 2;
      else break;
    }
  }
  std::int64_t count() const { return groups * parts_per_group * pixel_parts; }
};

/// What all parts share. With few channels per tap (`patches`), the columns of the result run over taps and channels
/// together, and whole patches of x are copied; otherwise every tap is a matter of its own, found by index pairs.
struct WeightGrad {
  const ConvShape& s;
  const float* x;
  const float* dy;
  bool patches;
  detail::PixelBlocks blocks;

  WeightGrad(const ConvShape& shape, const float* x_, const float* dy_, std::int64_t wanted)
      : s(shape), x(x_), dy(dy_), patches(shape.group_c() < lanes / 2 && shape.taps() > 1),
        blocks(patches ? ConvShape{.n = shape.n, .h = shape.oh(), .w = shape.ow(), .c = 1, .o = 1} : shape, wanted) {}
  std::int64_t columns() const { return patches ? s.taps() * s.group_c() : s.group_c(); }  // per tap
  std::int64_t taps() const { return patches ? 1 : s.taps(); }
};

/// dy of one block, channels [o, o + count): rows of tile_rows numbers, zeros behind the last channel.
inline void pack_dy(const WeightGrad& job, std::int64_t image, std::int64_t images, const detail::PixelBlocks::Span& span,
                    std::int64_t o, std::int64_t count, float* out) {
  const std::int64_t ow = job.s.ow(), pixels = (span.row_end - span.row_begin) * ow;
  for (std::int64_t n = image; n < image + images; ++n) {
    const float* from = job.dy + (n * job.s.oh() + span.row_begin) * ow * job.s.o + o;
    if (count == tile_rows)
      for (std::int64_t p = 0; p < pixels; ++p, from += job.s.o, out += tile_rows)
        std::memcpy(out, from, sizeof(float) * tile_rows);
    else
      for (std::int64_t p = 0; p < pixels; ++p, from += job.s.o, out += tile_rows)
        for (std::int64_t r = 0; r < tile_rows; ++r) out[r] = r < count ? from[r] : 0.0f;
  }
}

/// x of one block, columns [c, c + count) of a tap: rows of `width` numbers, zeros behind the last column.
inline void pack_x(const WeightGrad& job, std::int64_t image, std::int64_t images, const detail::PixelBlocks::Span& span,
                   std::int64_t group, std::int64_t c, std::int64_t count, std::int64_t width, float* out) {
  const ConvShape& s = job.s;
  const std::int64_t depth = s.group_c();
  if (!job.patches) {
    const std::int64_t pixels = (span.source_end - span.source_begin) * s.w;
    for (std::int64_t n = image; n < image + images; ++n) {
      const float* from = job.x + (n * s.h + span.source_begin) * s.w * s.c + group * depth + c;
      if (count == tile_columns)
        for (std::int64_t p = 0; p < pixels; ++p, from += s.c, out += width)
          std::memcpy(out, from, sizeof(float) * tile_columns);
      else
        for (std::int64_t p = 0; p < pixels; ++p, from += s.c, out += width)
          for (std::int64_t j = 0; j < width; ++j) out[j] = j < count ? from[j] : 0.0f;
    }
    return;
  }
  for (std::int64_t n = image; n < image + images; ++n)
    for (std::int64_t p = span.row_begin; p < span.row_end; ++p)
      for (std::int64_t q = 0; q < s.ow(); ++q, out += width) {
        std::int64_t tap = c / depth, channel = c % depth;
        for (std::int64_t j = 0; j < width; ++j) {
          const std::int64_t i = p * s.stride_h - s.pad_h + tap / s.kw * s.dilation_h;
          const std::int64_t k = q * s.stride_w - s.pad_w + tap % s.kw * s.dilation_w;
          const bool inside = j < count && i >= 0 && i < s.h && k >= 0 && k < s.w;
          out[j] = inside ? job.x[((n * s.h + i) * s.w + k) * s.c + group * depth + channel] : 0.0f;
          if (++channel == depth) channel = 0, ++tap;
        }
      }
}

inline void run_outer_tile(const std::int32_t* pairs, std::int64_t count, const float* a, const float* b,
                           float* const* rows, std::int64_t column, int height, int width, bool accumulate) {
  const bool narrow = width <= lanes;
  EdgeTile edge(rows, column, height, width, narrow ? lanes : tile_columns, accumulate);
  float* const* out = edge.rows();
  if (narrow) {
    if (height > 4) outer_tile<tile_rows, 1>(pairs, count, a, b, out, accumulate);
    else if (height > 2) outer_tile<4, 1>(pairs, count, a, b, out, accumulate);
    else outer_tile<2, 1>(pairs, count, a, b, out, accumulate);
  } else {
    if (height > 4) outer_tile<tile_rows, 2>(pairs, count, a, b, out, accumulate);
    else if (height > 2) outer_tile<4, 2>(pairs, count, a, b, out, accumulate);
    else outer_tile<2, 2>(pairs, count, a, b, out, accumulate);
  }
  edge.finish();
}

/// Output channels [o_begin, o_end) of one group, pixel blocks [block_begin, block_end).
inline void weight_grad_part(const WeightGrad& job, std::int64_t group, std::int64_t o_begin, std::int64_t o_end,
                             std::int64_t block_begin, std::int64_t block_end, float* dw) {
  const detail::PixelBlocks& blocks = job.blocks;
  const std::int64_t spans = static_cast<std::int64_t>(blocks.spans.size());
  const std::int64_t o_panels = (o_end - o_begin + tile_rows - 1) / tile_rows, columns = job.columns();
  const std::int64_t leading = job.s.taps() * job.s.group_c();  // from one output channel's weights to the next
  const Workspace<float> dy_panels(o_panels * blocks.most_pixels * tile_rows);
  const Workspace<float> x_panel(tile_columns * blocks.most_source_pixels);
  for (std::int64_t block = block_begin; block < block_end; ++block) {
    const auto& span = blocks.spans[static_cast<std::size_t>(block % spans)];
    const std::int64_t image = block / spans * blocks.images;
    const std::int64_t images = job.s.n - image < blocks.images ? job.s.n - image : blocks.images;
    for (std::int64_t j = 0; j < o_panels; ++j) {
      const std::int64_t o = o_begin + j * tile_rows;
      pack_dy(job, image, images, span, o, o_end - o < tile_rows ? o_end - o : tile_rows,
              dy_panels.data() + j * blocks.most_pixels * tile_rows);
    }
    for (std::int64_t c = 0; c < columns; c += tile_columns) {
      const int width = static_cast<int>(columns - c < tile_columns ? columns - c : tile_columns);
      pack_x(job, image, images, span, group, c, width, width > lanes ? tile_columns : lanes, x_panel.data());
      for (std::int64_t j = 0; j < o_panels; ++j) {
        const std::int64_t o = o_begin + j * tile_rows;
        const int height = static_cast<int>(o_end - o < tile_rows ? o_end - o : tile_rows);
        float* rows[tile_rows];
        for (int r = 0; r < height; ++r) rows[r] = dw + (o + r) * leading + c;
        for (std::int64_t tap = 0; tap < job.taps(); ++tap) {
          const auto t = static_cast<std::size_t>(tap);
          run_outer_tile(span.pairs.data() + 2 * span.tap_begin[t], span.per_image[t] * images,
                         dy_panels.data() + j * blocks.most_pixels * tile_rows, x_panel.data(), rows, tap * columns, height,
                         width, block > block_begin);
        }
      }
    }
  }
}

inline void conv2d_weight_grad(const ConvShape& s, const float* x, const float* dy, float* dw) {
  const std::int64_t floats = s.o * s.taps() * s.group_c();
  if (floats == 0) return;
  const WeightGrad job(s, x, dy, 256);
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
  if (grid.pixel_parts > 1)
    parallel_for(floats, 16384, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) dw[i] = partial[i];
      for (std::int64_t z = 1; z < grid.pixel_parts; ++z)
        for (std::int64_t i = begin; i < end; ++i) dw[i] += partial[z * floats + i];
    });
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
