// The loops of a tile, inside tile.hpp's namespace: read once for products of floats and, where SSLCAKE_SIMD_PAIRS is
// defined, once for products of bfloat16 pairs, whose instruction only a function with that target may contain.
#if defined(SSLCAKE_TILE_PAIRS)

template <>
struct Tiles<SSLCAKE_TILE_PAIRS> {
#if SSLCAKE_TILE_PAIRS
  /// Both hold two bfloat16 in each place of 32 bits: sum += both products, of float32 precision.
  SSLCAKE_TILE_TARGET SSLCAKE_ALWAYS_INLINE static void add(Vector& sum, const float& left, const Vector& right) {
    typedef std::uint32_t Bits __attribute__((vector_size(4 * lanes)));
    std::uint32_t pair;  // never touched by float arithmetic, which may change the bits of what looks like NaN
    __builtin_memcpy(&pair, &left, sizeof pair);
    const Bits all = pair - Bits{};
#if SSLCAKE_SIMD_PAIRS_ASM
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(all), "v"(right));
#else
    Bits pairs;
    __builtin_memcpy(&pairs, &right, sizeof pairs);
    const Bits upper_left = all & 0xffff0000u, upper_right = pairs & 0xffff0000u, lower_left = all << 16,
               lower_right = pairs << 16;
    Vector a, b;
    __builtin_memcpy(&a, &upper_left, sizeof a);
    __builtin_memcpy(&b, &upper_right, sizeof b);
    sum += a * b;
    __builtin_memcpy(&a, &lower_left, sizeof a);
    __builtin_memcpy(&b, &lower_right, sizeof b);
    sum += a * b;
#endif
  }
#else
  SSLCAKE_TILE_TARGET SSLCAKE_ALWAYS_INLINE static void add(Vector& sum, const float& left, const Vector& right) {
    sum += left * right;
  }
#endif

  template <int R, int V>
  SSLCAKE_TILE_TARGET SSLCAKE_ALWAYS_INLINE static void clear(Vector (&sum)[R][V], float* const* out) {
    SSLCAKE_UNROLL
    for (int r = 0; r < R; ++r) {
      __builtin_prefetch(out[r], 1);  // wanted at the end: the sums need not wait for what was there before
      SSLCAKE_UNROLL
      for (int v = 0; v < V; ++v) sum[r][v] = Vector{};
    }
  }
  template <int R, int V>
  SSLCAKE_TILE_TARGET SSLCAKE_ALWAYS_INLINE static void put(Vector (&sum)[R][V], float* const* out, bool accumulate) {
    SSLCAKE_UNROLL
    for (int r = 0; r < R; ++r) {
      SSLCAKE_UNROLL
      for (int v = 0; v < V; ++v) {
        float* to = out[r] + v * lanes;
        if (accumulate) sum[r][v] += *reinterpret_cast<const UnalignedVector*>(to);
        *reinterpret_cast<UnalignedVector*>(to) = sum[r][v];
      }
    }
  }

  /// out[r][0 .. V·lanes) = (or +=) sum over taps and steps of rows[r][tap + step] · b[tap][step].
  /// With R = 6 rows and V = 2 vectors, 12 of AVX2's 16 registers hold sums, 2 the right factor, 1 the left.
  template <int R, int V>
  SSLCAKE_TILE_TARGET SSLCAKE_NOINLINE static void run(const TileInput& in, float* const* out, bool accumulate) {
    Vector sum[R][V];
    clear<R, V>(sum, out);
    const std::int64_t depth = in.depth, b_step = in.b_step;
    for (const detail::TapStep *tap = in.taps, *end = tap + in.tap_count; tap != end; ++tap) {
      const float* a[R];
      SSLCAKE_UNROLL
      for (int r = 0; r < R; ++r) a[r] = in.rows[r] + (in.offset + tap->shift);
      const float* b = in.b + tap->weight * in.b_tap;
      for (std::int64_t k = 0; k < depth; ++k, b += b_step) {
        Vector right[V];
        SSLCAKE_UNROLL
        for (int v = 0; v < V; ++v) right[v] = *reinterpret_cast<const UnalignedVector*>(b + v * lanes);
        SSLCAKE_UNROLL
        for (int r = 0; r < R; ++r) {
          const float left = a[r][k];
          SSLCAKE_UNROLL
          for (int v = 0; v < V; ++v) add(sum[r][v], left, right[v]);
        }
      }
    }
    put<R, V>(sum, out, accumulate);
  }

  template <int R, int V>
  SSLCAKE_TILE_TARGET SSLCAKE_ALWAYS_INLINE static void add_step(Vector (&sum)[R][V], const float* left, const float* right) {
    Vector x[V];
    SSLCAKE_UNROLL
    for (int v = 0; v < V; ++v) x[v] = *reinterpret_cast<const UnalignedVector*>(right + v * lanes);
    SSLCAKE_UNROLL
    for (int r = 0; r < R; ++r) {
      const float y = left[r];
      SSLCAKE_UNROLL
      for (int v = 0; v < V; ++v) add(sum[r][v], y, x[v]);
    }
  }

  template <int R, int V>
  SSLCAKE_TILE_TARGET SSLCAKE_NOINLINE static void run(const OuterInput& in, float* const* out, bool accumulate) {
    Vector sum[R][V];
    clear<R, V>(sum, out);
    const float *a = in.a, *b = in.b;
    const std::int64_t a_step = in.a_step, b_step = in.b_step, count = in.count;
    if (in.pairs)
      for (const std::int32_t *pair = in.pairs, *end = pair + 2 * count; pair != end; pair += 2)
        add_step<R, V>(sum, a + pair[0] * a_step, b + pair[1] * b_step);
    else
      for (std::int64_t i = 0; i < count; ++i, a += a_step, b += b_step) add_step<R, V>(sum, a, b);
    put<R, V>(sum, out, accumulate);
  }
};

#undef SSLCAKE_TILE_PAIRS
#undef SSLCAKE_TILE_TARGET

#endif
