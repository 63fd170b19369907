// What tiles read: pixels and weights copied so that each tile is 16 rows of 64 bytes at equal distances. This folder's
// texts have no include guard: they are read once per tile policy (tiles.hpp), with
//
//   SSLCAKE_TILES_NAMESPACE   the namespace of that policy
//   SSLCAKE_TILES_POLICY      its type
//   SSLCAKE_TILES_TARGET      the target attribute of functions that touch vectors
//
// and the rules of simd/tile.hpp hold: no lambda inside such a function, no vector across a call.
#if defined(SSLCAKE_TILES_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_TILES_NAMESPACE {

inline constexpr int lanes = 16;
typedef float Vector __attribute__((vector_size(4 * lanes)));

inline std::int64_t units(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }

/// Denormal numbers may become zero: tiles take them for that anyway.
SSLCAKE_TILES_TARGET inline void narrow(std::int64_t count, const float* from, bfloat16* to) {
  std::int64_t i = 0;
  for (Vector v; i + lanes <= count; i += lanes) {
    load(v, from + i);
    SSLCAKE_TILES_POLICY::round(v, to + i);
  }
  for (; i < count; ++i) to[i] = bfloat16(from[i]);
}

/// out[2j], out[2j + 1] = first[j], second[j] for j < count; null pointers stand for zeros.
SSLCAKE_TILES_TARGET inline void interleave(const bfloat16* first, const bfloat16* second, std::int64_t count, bfloat16* out) {
  typedef std::uint16_t Half __attribute__((vector_size(2 * lanes)));
  typedef std::uint32_t Bits __attribute__((vector_size(4 * lanes)));
  std::int64_t j = 0;
  for (; first && second && j + lanes <= count; j += lanes) {
    Half low, high;
    __builtin_memcpy(&low, first + j, sizeof low);
    __builtin_memcpy(&high, second + j, sizeof high);
    const Bits bits = __builtin_convertvector(low, Bits) | __builtin_convertvector(high, Bits) << 16;
    __builtin_memcpy(static_cast<void*>(out + 2 * j), &bits, sizeof bits);
  }
  for (; j < count; ++j) {
    out[2 * j] = first ? first[j] : bfloat16{};
    out[2 * j + 1] = second ? second[j] : bfloat16{};
  }
}

/// `count` numbers, and zeros up to `depth`, a multiple of 32.
SSLCAKE_TILES_TARGET inline void copy_padded(const bfloat16* from, std::int64_t count, std::int64_t depth, bfloat16* to) {
  std::int64_t i = 0;
  for (Vector v; i + 2 * lanes <= count; i += 2 * lanes) {
    __builtin_memcpy(&v, from + i, sizeof v);
    __builtin_memcpy(static_cast<void*>(to + i), &v, sizeof v);
  }
  for (; i < count; ++i) to[i] = from[i];
  for (; i % (2 * lanes) != 0; ++i) to[i] = bfloat16{};
  for (const Vector zeros{}; i < depth; i += 2 * lanes) __builtin_memcpy(static_cast<void*>(to + i), &zeros, sizeof zeros);
}

/// A tile: to[j][i] = from[i][j] for 16 x 16 pairs, `row` numbers from row to row of `from`. Step s exchanges the upper right
/// and the lower left quarter of all blocks of 2s x 2s.
SSLCAKE_TILES_TARGET inline void transpose_pairs(const bfloat16* from, std::int64_t row, bfloat16* to) {
  Vector r[16];
  SSLCAKE_UNROLL
  for (int i = 0; i < 16; ++i) __builtin_memcpy(&r[i], from + i * row, sizeof r[i]);
#define SSLCAKE_LOW(...) r[i] = __builtin_shufflevector(above, r[i + step], __VA_ARGS__)
#define SSLCAKE_HIGH(...) r[i + step] = __builtin_shufflevector(above, r[i + step], __VA_ARGS__)
#define SSLCAKE_EXCHANGE(size, low, high)             \
  SSLCAKE_UNROLL                                      \
  for (int i = 0; i < 16; ++i) {                      \
    constexpr int step = size;                        \
    if (i & step) continue;                           \
    const Vector above = r[i];                        \
    low;                                              \
    high;                                             \
  }
  SSLCAKE_EXCHANGE(1, SSLCAKE_LOW(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
                   SSLCAKE_HIGH(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
  SSLCAKE_EXCHANGE(2, SSLCAKE_LOW(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
                   SSLCAKE_HIGH(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  SSLCAKE_EXCHANGE(4, SSLCAKE_LOW(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
                   SSLCAKE_HIGH(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
  SSLCAKE_EXCHANGE(8, SSLCAKE_LOW(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
                   SSLCAKE_HIGH(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#undef SSLCAKE_EXCHANGE
#undef SSLCAKE_HIGH
#undef SSLCAKE_LOW
  SSLCAKE_UNROLL
  for (int i = 0; i < 16; ++i) __builtin_memcpy(static_cast<void*>(to + 32 * i), &r[i], sizeof r[i]);
}

/// What a result pixel sees, tap after tap, as one row of taps · channels numbers.
class PatchReader {
 public:
  explicit PatchReader(const detail::Correlation& c) : c_(c) {
    const bool whole = c.source_channels == c.source_pixel;
    for (const detail::Tap& tap : c.taps) {
      // Neighbours in a kernel's row are neighbours in memory, if there is one group.
      if (whole && !runs_.empty() && runs_.back().down == tap.down && runs_.back().right + runs_.back().count == tap.right)
        ++runs_.back().count;
      else runs_.push_back({tap.down, tap.right, 1});
    }
  }
  void read(const bfloat16* source, std::int64_t pixel, bfloat16* out) const {
    const std::int64_t q = pixel % c_.columns, p = pixel / c_.columns % c_.rows, n = pixel / c_.columns / c_.rows;
    for (const Run& run : runs_) {
      const std::int64_t row = p * c_.step_h + run.down, column = q * c_.step_w + run.right;
      const std::int64_t begin = std::clamp<std::int64_t>(-column, 0, run.count);
      std::int64_t end = std::clamp(c_.width - column, begin, run.count);
      if (row < 0 || row >= c_.height) end = begin;
      out = std::fill_n(out, begin * c_.source_channels, bfloat16{});
      const std::int64_t from = ((n * c_.height + row) * c_.width + column + begin) * c_.source_pixel;
      if (end > begin) out = std::copy_n(source + from, (end - begin) * c_.source_channels, out);
      out = std::fill_n(out, (run.count - end) * c_.source_channels, bfloat16{});
    }
  }

 private:
  struct Run {
    std::int64_t down, right, count;
  };
  const detail::Correlation& c_;
  std::vector<Run> runs_;
};

/// Source pixels into the buffer of a RowPlan: numbers [channel, channel + count) of each, zeros up to `depth`.
struct Filling {
  const detail::RowPlan& plan;
  const detail::Correlation& geometry;  // the plan's
  const PatchReader* patches;           // null: pixels as they are
  const bfloat16* source;
  std::int64_t channel, count, depth;
};

/// The pixel's numbers; read into `room` if they are a patch.
inline const bfloat16* numbers_of(const Filling& f, std::int64_t pixel, bfloat16* room) {
  if (pixel < 0) return nullptr;
  if (!f.patches) return f.source + pixel * f.geometry.source_pixel + f.channel;
  f.patches->read(f.source, pixel, room);
  return room + f.channel;
}

inline void fill(const Filling& f, const detail::RowPlan::Part& part, bfloat16* buffer) {
  const detail::RowPlan& plan = f.plan;
  const std::int64_t whole = f.geometry.source_pixel, pitch = plan.pitch();
  const Workspace<bfloat16> room(whole);
  const bool as_they_are = !f.patches && plan.group() == 1 && f.geometry.step_w == 1 && f.count == whole && f.depth == whole;
  for (std::int64_t r = 0; r < plan.buffer_rows(part); ++r) {
    const std::int64_t row = plan.source_row(part, r);
    if (row < 0) continue;  // no tile reads it
    for (std::int64_t slot = 0; slot < plan.slots(); ++slot) {
      bfloat16* to = buffer + (r * plan.slots() + slot) * pitch * f.depth;
      if (as_they_are) {
        const std::int64_t column = plan.source_column(slot, part.block_begin * detail::RowPlan::block);
        const bfloat16* image = f.source + part.image * f.geometry.height * f.geometry.width * whole;
        detail::copy_bordered(reinterpret_cast<const float*>(image), f.geometry.height, f.geometry.width, whole / 2, row, row + 1,
                              column, column + pitch, reinterpret_cast<float*>(to));
        continue;
      }
      for (std::int64_t e = 0; e < pitch; ++e, to += f.depth) {
        const bfloat16* from = numbers_of(f, plan.pixel(part, row, slot, e), room.data());
        copy_padded(from, from ? f.count : 0, f.depth, to);
      }
    }
  }
}

/// The same with elements 2i and 2i + 1 interleaved, as right factors of sums over pixels.
inline void fill_pairs(const Filling& f, const detail::RowPlan::Part& part, bfloat16* buffer) {
  const detail::RowPlan& plan = f.plan;
  const std::int64_t whole = f.geometry.source_pixel, pitch = plan.pitch();
  const Workspace<bfloat16> room(2 * whole);
  for (std::int64_t r = 0; r < plan.buffer_rows(part); ++r) {
    const std::int64_t row = plan.source_row(part, r);
    if (row < 0) continue;
    for (std::int64_t slot = 0; slot < plan.slots(); ++slot) {
      bfloat16* to = buffer + (r * plan.slots() + slot) * pitch * f.depth;
      for (std::int64_t e = 0; e < pitch; e += 2, to += 2 * f.depth) {
        const bfloat16* first = numbers_of(f, plan.pixel(part, row, slot, e), room.data());
        const bfloat16* second = numbers_of(f, plan.pixel(part, row, slot, e + 1), room.data() + whole);
        interleave(first, second, f.count, to);
        std::memset(static_cast<void*>(to + 2 * f.count), 0,
                    sizeof(bfloat16) * static_cast<std::size_t>(2 * (f.depth - f.count)));
      }
    }
  }
}

/// Weights as right factors: [panel of 32 results][tap][32 source channels][two tiles of 16 results][16 pairs of channels].
struct PackedTiles {
  std::int64_t taps, depth, results;  // depth: numbers along the sum per tap
  std::int64_t steps, panels;         // steps: of 32 along the sum, per tap
  Workspace<bfloat16> data;

  PackedTiles(std::int64_t taps_, std::int64_t depth_, std::int64_t results_)
      : taps(taps_), depth(depth_), results(results_), steps(units(depth_, 32)), panels(units(results_, 32)),
        data(panels * taps_ * steps * 1024) {}
  bfloat16* panel(std::int64_t j) const { return data.data() + j * taps * steps * 1024; }
};

/// Forward: sums over c of w (O, taps, C). With patches, taps is 1 and depth all of a row.
inline void pack_forward(const float* w, const PackedTiles& out) {
  const std::int64_t row = out.taps * out.depth, length = 32 * out.steps, padded = out.taps * length;
  parallel_chunks(out.panels, [&](std::int64_t j) {
    const Workspace<bfloat16> rounded(16 * padded);
    for (std::int64_t tile = 0; tile < 2; ++tile) {
      const std::int64_t first = 32 * j + 16 * tile, count = std::clamp<std::int64_t>(out.results - first, 0, 16);
      std::fill_n(rounded.data(), rounded.size(), bfloat16{});
      for (std::int64_t r = 0; r < count; ++r)
        for (std::int64_t tap = 0; tap < out.taps; ++tap)
          narrow(out.depth, w + (first + r) * row + tap * out.depth, rounded.data() + r * padded + tap * length);
      for (std::int64_t step = 0; step < out.taps * out.steps; ++step)
        transpose_pairs(rounded.data() + 32 * step, padded, out.panel(j) + step * 1024 + tile * 512);
    }
  });
}

/// Input gradient of one group: sums over o. With patches (null: none) the sum runs over the correlation's taps and o.
inline void pack_input_grad(const ConvShape& s, const float* w, const detail::Correlation* patches, const PackedTiles& out) {
  const std::int64_t sources = s.group_o(), results = s.group_c(), row = s.taps() * results, padded = 32 * out.panels;
  parallel_chunks(out.taps * out.steps, [&](std::int64_t step) {
    const std::int64_t tap = step / out.steps, begin = step % out.steps * 32;
    const Workspace<bfloat16> rounded(2 * padded);
    std::fill_n(rounded.data(), rounded.size(), bfloat16{});
    for (std::int64_t pair = 0; pair < 16; ++pair) {
      const bfloat16* halves[2] = {};
      for (std::int64_t half = 0; half < 2 && begin + 2 * pair + half < out.depth; ++half) {
        const std::int64_t at = begin + 2 * pair + half;
        const std::int64_t which = patches ? patches->taps[static_cast<std::size_t>(at / sources)].weight : tap;
        narrow(results, w + at % sources * row + which * results, rounded.data() + half * padded);
        halves[half] = rounded.data() + half * padded;
      }
      for (std::int64_t j = 0; j < out.panels; ++j)
        for (std::int64_t tile = 0; tile < 2; ++tile) {
          const std::int64_t r = 32 * j + 16 * tile;
          interleave(halves[0] ? halves[0] + r : nullptr, halves[1] ? halves[1] + r : nullptr, 16,
                     out.panel(j) + step * 1024 + tile * 512 + pair * 32);
        }
    }
  });
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_TILES_NAMESPACE

#endif
