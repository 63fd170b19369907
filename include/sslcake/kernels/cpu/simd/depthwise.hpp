// Depthwise convolution (groups = channels): every channel is its own picture, so vectors run over channels and nothing
// is summed across them. Bound by memory, not by arithmetic. Read once per instruction set, see tile.hpp.
#if defined(SSLCAKE_SIMD_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

inline bool is_depthwise(const ConvShape& s) { return s.groups == s.c && s.o == s.c && s.c > 1; }

/// V vectors of channels of one pixel: out = sum over taps of pixel[tap] · w[tap], elementwise.
template <int V>
SSLCAKE_SIMD_TARGET SSLCAKE_NOINLINE void channel_tile(const float* pixel, const detail::TapStep* taps, std::int64_t count,
                                                       const float* w, std::int64_t channels, float* out) {
  Vector sum[V] = {};
  for (std::int64_t t = 0; t < count; ++t) {
    const float *x = pixel + taps[t].shift, *weight = w + taps[t].weight * channels;
    SSLCAKE_UNROLL
    for (int v = 0; v < V; ++v)
      sum[v] += *reinterpret_cast<const UnalignedVector*>(x + v * lanes) *
                *reinterpret_cast<const UnalignedVector*>(weight + v * lanes);
  }
  SSLCAKE_UNROLL
  for (int v = 0; v < V; ++v) *reinterpret_cast<UnalignedVector*>(out + v * lanes) = sum[v];
}

/// V vectors of channels of the weights' gradient at one tap: out += sum over pixel pairs of dy · x, elementwise.
template <int V>
SSLCAKE_SIMD_TARGET SSLCAKE_NOINLINE void channel_sum(const std::int32_t* pairs, std::int64_t count, const float* dy,
                                                      const float* x, std::int64_t channels, float* out) {
  Vector sum[V] = {};
  for (std::int64_t i = 0; i < count; ++i) {
    const float *a = dy + pairs[2 * i] * channels, *b = x + pairs[2 * i + 1] * channels;
    SSLCAKE_UNROLL
    for (int v = 0; v < V; ++v)
      sum[v] += *reinterpret_cast<const UnalignedVector*>(a + v * lanes) *
                *reinterpret_cast<const UnalignedVector*>(b + v * lanes);
  }
  SSLCAKE_UNROLL
  for (int v = 0; v < V; ++v) {
    const Vector before = *reinterpret_cast<const UnalignedVector*>(out + v * lanes);
    *reinterpret_cast<UnalignedVector*>(out + v * lanes) = before + sum[v];
  }
}

/// Forward pass and input gradient, over the tiles of a plan.
inline void correlate_channels(const detail::Correlation& c, const ConvShape& s, const float* w, const float* source,
                               float* result) {
  const Workspace<float> by_tap(s.taps() * s.c);  // (C, taps) to (taps, C)
  for (std::int64_t ch = 0; ch < s.c; ++ch)
    for (std::int64_t t = 0; t < s.taps(); ++t) by_tap[t * s.c + ch] = w[ch * s.taps() + t];
  const detail::TilePlan plan(c, tile_rows);
  parallel_chunks(plan.parts(), [&](std::int64_t part) {
    const Workspace<float> scratch(plan.scratch());
    const Workspace<const float*> from(plan.most_tiles() * tile_rows);
    const Workspace<std::int64_t> to(plan.most_tiles() * tile_rows);
    const Workspace<detail::TilePlan::Tile> tiles(plan.most_tiles());
    const std::int64_t count = plan.fill(part, source, scratch.data(), tiles.data(), from.data(), to.data());
    for (std::int64_t i = 0; i < count * tile_rows; ++i) {
      const auto& tile = tiles[i / tile_rows];
      if (i % tile_rows >= tile.count) continue;
      float* out = result + to[i];
      const std::vector<detail::TapStep>& taps = plan.steps(tile.kind);
      const std::int64_t n = static_cast<std::int64_t>(taps.size());
      std::int64_t ch = 0;
      for (; ch + 4 * lanes <= s.c; ch += 4 * lanes)
        channel_tile<4>(from[i] + ch, taps.data(), n, by_tap.data() + ch, s.c, out + ch);
      for (; ch + lanes <= s.c; ch += lanes)
        channel_tile<1>(from[i] + ch, taps.data(), n, by_tap.data() + ch, s.c, out + ch);
      for (; ch < s.c; ++ch) {
        float sum = 0;
        for (const detail::TapStep& tap : taps) sum += from[i][tap.shift + ch] * by_tap[tap.weight * s.c + ch];
        out[ch] = sum;
      }
    }
  });
}

inline void depthwise_weight_grad(const ConvShape& s, const float* x, const float* dy, float* dw) {
  const detail::PixelBlocks blocks(s, 256, false);
  const std::int64_t spans = static_cast<std::int64_t>(blocks.spans.size()), floats = s.taps() * s.c;
  const std::int64_t parts = chunk_count(blocks.count(), 4, 32);
  const Workspace<float> partial((parts + 1) * floats);  // each (taps, C); the last is their sum
  std::memset(partial.data(), 0, sizeof(float) * static_cast<std::size_t>(partial.size()));
  parallel_chunks(parts, [&](std::int64_t part) {
    for (std::int64_t at = blocks.count() * part / parts; at < blocks.count() * (part + 1) / parts; ++at) {
      const auto& span = blocks.spans[static_cast<std::size_t>(at % spans)];
      for (std::int64_t n = at / spans * blocks.images; n < s.n && n < (at / spans + 1) * blocks.images; ++n) {
        const float* a = dy + (n * s.oh() + span.row_begin) * s.ow() * s.c;
        const float* b = x + (n * s.h + span.source_begin) * s.w * s.c;
        for (std::int64_t tap = 0; tap < s.taps(); ++tap) {
          const auto t = static_cast<std::size_t>(tap);
          const std::int32_t* pairs = span.lists->pairs.data() + 2 * span.lists->tap_begin[t];
          const std::int64_t count = span.lists->per_image[t];
          float* out = partial.data() + part * floats + tap * s.c;
          std::int64_t ch = 0;
          for (; ch + 4 * lanes <= s.c; ch += 4 * lanes) channel_sum<4>(pairs, count, a + ch, b + ch, s.c, out + ch);
          for (; ch + lanes <= s.c; ch += lanes) channel_sum<1>(pairs, count, a + ch, b + ch, s.c, out + ch);
          for (; ch < s.c; ++ch)
            for (std::int64_t i = 0; i < count; ++i) out[ch] += a[pairs[2 * i] * s.c + ch] * b[pairs[2 * i + 1] * s.c + ch];
        }
      }
    }
  });
  float* sum = partial.data() + parts * floats;
  for (std::int64_t part = 0; part < parts; ++part)
    for (std::int64_t i = 0; i < floats; ++i) sum[i] += partial[part * floats + i];
  for (std::int64_t ch = 0; ch < s.c; ++ch)
    for (std::int64_t t = 0; t < s.taps(); ++t) dw[ch * s.taps() + t] = sum[t * s.c + ch];
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
