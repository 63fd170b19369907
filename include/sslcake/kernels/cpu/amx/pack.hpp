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

typedef float Vector __attribute__((vector_size(64)));

inline std::int64_t units(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }

SSLCAKE_TILES_TARGET inline void narrow(std::int64_t count, const float* from, bfloat16* to) {
  std::int64_t i = 0;
  for (Vector v; i + 16 <= count; i += 16) {
    load(v, from + i);
    store(v, to + i);
  }
  for (; i < count; ++i) to[i] = bfloat16(from[i]);
}

/// out[2j], out[2j + 1] = first[j], second[j] for j < count; null pointers stand for zeros.
SSLCAKE_TILES_TARGET inline void interleave(const bfloat16* first, const bfloat16* second, std::int64_t count, bfloat16* out) {
  typedef std::uint16_t Half __attribute__((vector_size(32)));
  typedef std::uint32_t Bits __attribute__((vector_size(64)));
  std::int64_t j = 0;
  for (; j + 16 <= count; j += 16) {
    Half low{}, high{};
    if (first) __builtin_memcpy(&low, first + j, sizeof low);
    if (second) __builtin_memcpy(&high, second + j, sizeof high);
    const Bits bits = __builtin_convertvector(low, Bits) | __builtin_convertvector(high, Bits) << 16;
    __builtin_memcpy(static_cast<void*>(out + 2 * j), &bits, sizeof bits);
  }
  for (; j < count; ++j) {
    out[2 * j] = first ? first[j] : bfloat16{};
    out[2 * j + 1] = second ? second[j] : bfloat16{};
  }
}

/// to[j][i] = from[i][j] for 16 x 16 pairs.
inline void transpose_pairs(const bfloat16* from, bfloat16* to) {
  for (std::int64_t i = 0; i < 16; i += 4)
    for (std::int64_t j = 0; j < 16; j += 4)
      detail::transpose_four(reinterpret_cast<const float*>(from) + 16 * i + j, 16, reinterpret_cast<float*>(to) + 16 * j + i, 16);
}

/// What a result pixel sees, tap after tap, as one row of taps · channels numbers.
class PatchReader {
 public:
  explicit PatchReader(const detail::Correlation& c) : c_(c) {
    for (const detail::Tap& tap : c.taps) {
      // Neighbours in a kernel's row are neighbours in memory.
      if (!runs_.empty() && runs_.back().down == tap.down && runs_.back().right + runs_.back().count == tap.right) ++runs_.back().count;
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
      out = std::fill_n(out, begin * c_.source_pixel, bfloat16{});
      const bfloat16* from = source + ((n * c_.height + row) * c_.width + column + begin) * c_.source_pixel;
      if (end > begin) out = std::copy_n(from, (end - begin) * c_.source_pixel, out);
      out = std::fill_n(out, (run.count - end) * c_.source_pixel, bfloat16{});
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
        detail::copy_bordered(reinterpret_cast<const float*>(image), f.geometry.height, f.geometry.width, whole / 2, row, row + 1, column,
                              column + pitch, reinterpret_cast<float*>(to));
        continue;
      }
      for (std::int64_t e = 0; e < pitch; ++e, to += f.depth) {
        const bfloat16* from = numbers_of(f, plan.pixel(part, row, slot, e), room.data());
        if (from) std::memcpy(static_cast<void*>(to), from, sizeof(bfloat16) * static_cast<std::size_t>(f.count));
        const std::int64_t used = from ? f.count : 0;
        std::memset(static_cast<void*>(to + used), 0, sizeof(bfloat16) * static_cast<std::size_t>(f.depth - used));
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
        std::memset(static_cast<void*>(to + 2 * f.count), 0, sizeof(bfloat16) * static_cast<std::size_t>(2 * (f.depth - f.count)));
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

/// One tile of the forward pass: `count` rows of `depth` numbers, `row` apart, become the columns of pairs.
inline void pack_columns(const float* w, std::int64_t row, std::int64_t count, std::int64_t depth, bfloat16* out) {
  alignas(64) bfloat16 rows[512];
  std::memset(static_cast<void*>(rows), 0, sizeof rows);
  for (std::int64_t r = 0; r < count; ++r) narrow(depth, w + r * row, rows + 32 * r);
  transpose_pairs(rows, out);
}

/// Forward: sums over c of w (O, taps, C). With patches, taps is 1 and depth all of a row.
inline void pack_forward(const float* w, const PackedTiles& out) {
  const std::int64_t row = out.taps * out.depth;
  parallel_chunks(out.panels, [&](std::int64_t j) {
    bfloat16* to = out.panel(j);
    for (std::int64_t tap = 0; tap < out.taps; ++tap)
      for (std::int64_t k = 0; k < out.depth; k += 32)
        for (std::int64_t r = 32 * j; r < 32 * j + 32; r += 16, to += 512)
          pack_columns(w + r * row + tap * out.depth + k, row, std::clamp<std::int64_t>(out.results - r, 0, 16), std::min<std::int64_t>(out.depth - k, 32), to);
  });
}

/// Input gradient: sums over o. With patches (null: none) the sum runs over the correlation's taps and o.
inline void pack_input_grad(const ConvShape& s, const float* w, const detail::Correlation* patches, const PackedTiles& out) {
  const std::int64_t row = s.taps() * s.c;
  parallel_chunks(out.panels, [&](std::int64_t j) {
    bfloat16* to = out.panel(j);
    alignas(64) bfloat16 rounded[2][16];
    for (std::int64_t tap = 0; tap < out.taps; ++tap)
      for (std::int64_t k = 0; k < out.depth; k += 32)
        for (std::int64_t r = 32 * j; r < 32 * j + 32; r += 16)
          for (std::int64_t pair = k; pair < k + 32; pair += 2, to += 32) {
            const std::int64_t count = std::clamp<std::int64_t>(out.results - r, 0, 16);
            std::memset(static_cast<void*>(rounded), 0, sizeof rounded);
            for (std::int64_t half = 0; half < 2 && pair + half < out.depth; ++half) {
              const std::int64_t at = pair + half;
              const std::int64_t which = patches ? patches->taps[static_cast<std::size_t>(at / s.o)].weight : tap;
              narrow(count, w + at % s.o * row + which * s.c + r, rounded[half]);
            }
            interleave(rounded[0], rounded[1], 16, to);
          }
  });
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_TILES_NAMESPACE

#endif
