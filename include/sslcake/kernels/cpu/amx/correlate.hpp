// Convolution forward and input gradient on tiles: result(pixel, o) = sum over taps and c of source(pixel moved by tap, c) ·
// w(o, tap, c). Left factor: 16 pixels x 32 channels of the source, from the buffer of a RowPlan or the picture itself; right
// factor: weights, packed once per call into pairs. Sums are float32; each result is rounded once. Read once per tile
// policy, see pack.hpp; product.hpp counts what the loop moves.
//
// Denormal numbers count as zero, as TDPBF16PS and VCVTNEPS2BF16 know no others. Groups are done one after the other. It leaves
// out keeping packed weights from call to call.
#if defined(SSLCAKE_TILES_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_TILES_NAMESPACE {

/// What is done to a panel's results on their way out. All arrays are as long as whole panels.
struct Epilogue {
  const float* bias = nullptr;    // null: none
  const float* center = nullptr;  // null: no sums per channel of (y - center) and its square
  float* partial = nullptr;       // (parts, 2, channels): those sums
  std::int64_t channels = 0;
  bool streams = false;           // the results go past the caches
};

/// Rounds the block's rows to where they go (`at`, -1: nowhere), columns [0, width), and adds them to the sums of its channels.
SSLCAKE_TILES_TARGET SSLCAKE_NOINLINE inline void finish(const float* sums, std::int64_t rows, std::int64_t width,
                                                         const std::int64_t* at, const float* bias, const float* center,
                                                         float* first, float* second, bool streams, bfloat16* result) {
  using Tiles = SSLCAKE_TILES_POLICY;
  Vector shift[2] = {}, middle[2] = {}, total[2] = {}, squares[2] = {};
  SSLCAKE_UNROLL
  for (int v = 0; v < 2; ++v) {
    if (bias) load(shift[v], bias + lanes * v);
    if (center) load(middle[v], center + lanes * v), load(total[v], first + lanes * v), load(squares[v], second + lanes * v);
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    if (at[r] < 0) continue;
    const float* row = sums + r / 16 * 512 + r % 16 * 16;
    Vector y[2];
    SSLCAKE_UNROLL
    for (int v = 0; v < 2; ++v) {
      load(y[v], row + v * 256);
      if (center) {
        const Vector d = y[v] - middle[v];
        total[v] += d;
        squares[v] += d * d;
      }
      y[v] += shift[v];
    }
    bfloat16* to = result + at[r];
    if (width < 32) {
      bfloat16 edge[32];
      Tiles::round(y[0], edge);
      Tiles::round(y[1], edge + 16);
      __builtin_memcpy(static_cast<void*>(to), edge, sizeof(bfloat16) * static_cast<std::size_t>(width));
    } else if (streams) {
      Tiles::stream(y[0], to);
      Tiles::stream(y[1], to + 16);
    } else {
      Tiles::round(y[0], to);
      Tiles::round(y[1], to + 16);
    }
  }
  SSLCAKE_UNROLL
  for (int v = 0; v < 2; ++v)
    if (center) store(total[v], first + lanes * v), store(squares[v], second + lanes * v);
}

class TiledCorrelation {
 public:
  /// Of one group, at whose first channels source and result begin. `c` counts channels in numbers; with `patches`, the weights
  /// are packed as one tap.
  TiledCorrelation(const detail::Correlation& c, bool patches, const PackedTiles& w, const bfloat16* source, bfloat16* result)
      : c_(patches ? detail::patches(c) : detail::flattened(c)), w_(w), source_(source), result_(result), depth_(w.steps * 32),
        plan_(c_, {.channels = depth_}), reader_(c) {
    if (patches) patches_ = &reader_;
    // In place: all pixels in one row, channels that are whole tiles.
    in_place_ = !patches && c_.images == 1 && c_.rows == 1 && c_.height == 1 && c_.width == c_.columns && c_.taps.size() == 1 &&
                c_.taps[0].right == 0 && c_.taps[0].down == 0 && c_.source_pixel == depth_ && c_.source_channels == depth_;
    steps_.resize(static_cast<std::size_t>(plan_.kinds()));
    for (std::size_t kind = 0; kind < steps_.size(); ++kind)
      for (std::size_t t = 0; t < c_.taps.size(); ++t)
        for (std::int64_t k = 0; k < w.steps && plan_.kind_has(static_cast<std::int64_t>(kind), t); ++k)
          steps_[kind].push_back(
              {(plan_.shift(t) * depth_ + 32 * k) * 2, ((patches ? 0 : c_.taps[t].weight) * w.steps + k) * 2048});
    for (const auto& steps : steps_) rounds_ = std::max(rounds_, units(static_cast<std::int64_t>(steps.size()), most_steps));
  }

  std::int64_t parts() const { return plan_.parts(); }

  bool streams() const { return detail::passes_caches(c_, result_); }

  void run(const Epilogue& epilogue) const {
    // Where there are few pixels, panels are shared out as well; each share copies the pixels anew.
    std::int64_t shares = 1;
    while (plan_.parts() * shares < 32 && w_.panels / shares >= 8) shares *= 2;
    parallel_chunks(plan_.parts() * shares, [&](std::int64_t chunk) {
      const std::int64_t share = chunk % shares;
      run_part(chunk / shares, w_.panels * share / shares, w_.panels * (share + 1) / shares, epilogue);
    });
  }

 private:
  void run_part(std::int64_t index, std::int64_t first, std::int64_t last, const Epilogue& epilogue) const {
    const detail::RowPlan::Part part = plan_.part(index);
    const bool in_place = in_place_ && plan_.elements(part.block_end - 1) == detail::RowPlan::block;
    const bool needed = !in_place && rounds_ > 0;
    const Workspace<bfloat16> buffer(needed ? plan_.buffer_elements() * depth_ : 0);
    if (needed) fill({plan_, c_, patches_, source_, 0, c_.source_channels, depth_}, part, buffer.data());
    const std::int64_t row_blocks = part.block_end - part.block_begin;
    const Workspace<std::int64_t> at(row_blocks * detail::RowPlan::block);
    plan_.results(part, at.data());
    // Sums wait in memory only where the steps need several rounds.
    const bool waits = rounds_ > 1;
    const Workspace<float> sums(waits ? part.blocks() * 1024 : 1024);
    const bfloat16* pixels = in_place ? source_ + part.block_begin * detail::RowPlan::block * depth_ : buffer.data();
    const amx::ConfiguredTiles<SSLCAKE_TILES_POLICY> tiles;
    for (std::int64_t j = first; j < last; ++j) {
      const std::int64_t width = std::min<std::int64_t>(w_.results - 32 * j, 32);
      float* partial = epilogue.partial ? epilogue.partial + 2 * index * epilogue.channels + 32 * j : nullptr;
      if (partial) std::fill_n(partial, 32, 0.0f), std::fill_n(partial + epilogue.channels, 32, 0.0f);
      for (std::int64_t round = 0; round < std::max<std::int64_t>(rounds_, 1); ++round)
        for (std::int64_t p = part.row_begin; p < part.row_end; ++p)
          for (std::int64_t b = part.block_begin; b < part.block_end; ++b) {
            // Blocks in the padding have fewer taps, and are done after fewer rounds; without any they are zero after the first.
            const std::vector<Step>& steps = steps_[static_cast<std::size_t>(plan_.kind(p, b))];
            const std::int64_t begin = round * most_steps, count = static_cast<std::int64_t>(steps.size()) - begin;
            if (count <= 0 && round > 0) continue;
            const std::int64_t rows = plan_.elements(b), column = b - part.block_begin;
            float* to = sums.data() + (waits ? ((p - part.row_begin) * row_blocks + column) * 1024 : 0);
            const Factors factors{rounds_ > 0 ? pixels + plan_.begin(part, p, b) * depth_ : nullptr, w_.panel(j),
                                  2 * depth_, 32 * depth_, 64, 1024};
            run_block(rows, width, count > 0 ? steps.data() + begin : nullptr, std::clamp<std::int64_t>(count, 0, most_steps),
                      factors, to, round > 0);
            if (count > most_steps) continue;
            finish(to, rows, width, at.data() + column * detail::RowPlan::block, epilogue.bias ? epilogue.bias + 32 * j : nullptr,
                   partial ? epilogue.center + 32 * j : nullptr, partial, partial ? partial + epilogue.channels : nullptr,
                   epilogue.streams, result_ + plan_.result_row(part, p) + 32 * j);
          }
    }
    if (epilogue.streams) end_streaming();
  }

  const detail::Correlation c_;
  const PackedTiles& w_;
  const bfloat16* source_;
  bfloat16* result_;
  std::int64_t depth_, rounds_ = 0;
  const detail::RowPlan plan_;
  const PatchReader reader_;
  const PatchReader* patches_ = nullptr;
  bool in_place_ = false;
  std::vector<std::vector<Step>> steps_;  // per kind of block
};

/// Sums per channel from those of the parts, in order.
inline void add_partial(std::int64_t parts, std::int64_t channels, std::int64_t results, const float* partial, double* sum,
                        double* sum_sq) {
  parallel_for(results, 32, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) sum[o] = sum_sq[o] = 0;
    for (std::int64_t part = 0; part < parts; ++part)
      for (std::int64_t o = begin; o < end; ++o) {
        sum[o] += partial[2 * part * channels + o];
        sum_sq[o] += partial[(2 * part + 1) * channels + o];
      }
  });
}

/// dx from dy for one group. All pointers are to its first channels.
inline void group_input_grad(const ConvShape& s, const bfloat16* dy, const float* w, bfloat16* dx) {
  const PackedTiles packed(s.taps(), s.group_o(), s.group_c());
  bool is_packed = false;
  for (const detail::Correlation& c : detail::input_grad_correlations(s)) {
    if (detail::takes_patches(c)) {
      const PackedTiles own(1, static_cast<std::int64_t>(c.taps.size()) * s.group_o(), s.group_c());
      pack_input_grad(s, w, &c, own);
      const TiledCorrelation job(c, true, own, dy, dx);
      job.run({.streams = job.streams()});
      continue;
    }
    if (!is_packed) pack_input_grad(s, w, nullptr, packed), is_packed = true;
    const TiledCorrelation job(c, false, packed, dy, dx);
    job.run({.streams = job.streams()});
  }
}

/// y from x for one group, likewise.
inline void group_forward(const ConvShape& s, const bfloat16* x, const float* w, const float* bias, bfloat16* y,
                          const float* center, double* sum, double* sum_sq) {
  const std::int64_t results = s.group_o();
  const detail::Correlation c = detail::forward_correlation(s, false);
  const bool patches = detail::takes_patches(c);
  const PackedTiles packed(patches ? 1 : s.taps(), patches ? s.taps() * s.group_c() : s.group_c(), results);
  pack_forward(w, packed);
  const TiledCorrelation job(c, patches, packed, x, y);
  // Vectors read whole panels of channels, also of what the caller gave shorter.
  const std::int64_t channels = packed.panels * 32;
  const Workspace<float> shift(bias ? channels : 0), middle(sum ? channels : 0), partial(sum ? job.parts() * 2 * channels : 0);
  if (bias) std::fill_n(std::copy_n(bias, results, shift.data()), channels - results, 0.0f);
  if (sum && center) std::fill_n(std::copy_n(center, results, middle.data()), channels - results, 0.0f);
  if (sum && !center) std::fill_n(middle.data(), channels, 0.0f);
  job.run({.bias = bias ? shift.data() : nullptr, .center = middle.data(), .partial = partial.data(), .channels = channels,
           .streams = job.streams()});
  if (sum) add_partial(job.parts(), channels, results, partial.data(), sum, sum_sq);
}

/// As the table's entry of the same name (variant.hpp), for any number of channels.
inline void conv2d_pairs(const ConvShape& s, bool input_grad, const bfloat16* source, const float* w, const float* bias,
                         bfloat16* result, const float* center, double* sum, double* sum_sq) {
  for (std::int64_t g = 0; g < s.groups; ++g) {
    const std::int64_t c = g * s.group_c(), o = g * s.group_o();
    const float* own = w + o * s.taps() * s.group_c();
    if (input_grad) group_input_grad(s, source + o, own, result + c);
    else group_forward(s, source + c, own, bias ? bias + o : nullptr, result + o, center ? center + o : nullptr,
                       sum ? sum + o : nullptr, sum ? sum_sq + o : nullptr);
  }
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_TILES_NAMESPACE

#endif
