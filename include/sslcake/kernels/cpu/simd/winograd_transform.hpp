// The transforms of Winograd's F(4x4, 3x3) and F(3x3, 4x4), see ../../winograd.hpp, on vectors of channels. With the
// points ±a = ±1/√2 and ±b = ±√2, pairs of rows differ only in the sign of their odd part. Read once per instruction
// set, see tile.hpp.
#if defined(SSLCAKE_SIMD_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

inline constexpr float point_a = 0.70710678118654752f, point_b = 1.41421356237309505f;

/// B' d: the coefficients of the products of (x - point) over all other points.
struct SourceStep {
  static constexpr int from = 6, to = 6;
  SSLCAKE_SIMD_TARGET SSLCAKE_ALWAYS_INLINE static void apply(const Vector* d, Vector* out) {
    const Vector even_a = d[4] - 2.0f * d[2], odd_a = point_a * (d[3] - 2.0f * d[1]);
    const Vector even_b = d[4] - 0.5f * d[2], odd_b = point_b * (d[3] - 0.5f * d[1]);
    out[0] = d[0] + d[4] - 2.5f * d[2];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = d[1] + d[5] - 2.5f * d[3];
  }
};

/// G g: the values of the polynomial with coefficients g, each divided by its product of differences of points.
struct FilterStep {
  static constexpr int from = 3, to = 6;
  SSLCAKE_SIMD_TARGET SSLCAKE_ALWAYS_INLINE static void apply(const Vector* g, Vector* out) {
    constexpr float fa = -1 / 1.5f, fb = 1 / 6.0f;
    const Vector even_a = fa * (g[0] + 0.5f * g[2]), odd_a = (fa * point_a) * g[1];
    const Vector even_b = fb * (g[0] + 2.0f * g[2]), odd_b = (fb * point_b) * g[1];
    out[0] = g[0];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = g[2];
  }
};

/// The same with four coefficients: dy, which is the filter of the weight gradient.
struct GradientStep {
  static constexpr int from = 4, to = 6;
  SSLCAKE_SIMD_TARGET SSLCAKE_ALWAYS_INLINE static void apply(const Vector* g, Vector* out) {
    constexpr float fa = -1 / 1.5f, fb = 1 / 6.0f;
    const Vector even_a = fa * (g[0] + 0.5f * g[2]), odd_a = (fa * point_a) * (g[1] + 0.5f * g[3]);
    const Vector even_b = fb * (g[0] + 2.0f * g[2]), odd_b = (fb * point_b) * (g[1] + 2.0f * g[3]);
    out[0] = g[0];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = g[3];
  }
};

/// A' m: sums of m over the points, weighted with their powers.
struct ResultStep {
  static constexpr int from = 6, to = 4;
  SSLCAKE_SIMD_TARGET SSLCAKE_ALWAYS_INLINE static void apply(const Vector* m, Vector* out) {
    const Vector sum_a = m[1] + m[2], sum_b = m[3] + m[4];
    const Vector odd_a = point_a * (m[1] - m[2]), odd_b = point_b * (m[3] - m[4]);
    out[0] = m[0] + sum_a + sum_b;
    out[1] = odd_a + odd_b;
    out[2] = 0.5f * sum_a + 2.0f * sum_b;
    out[3] = 0.5f * odd_a + 2.0f * odd_b + m[5];
  }
};

struct FilterGradStep {
  static constexpr int from = 6, to = 3;
  SSLCAKE_SIMD_TARGET SSLCAKE_ALWAYS_INLINE static void apply(const Vector* m, Vector* out) {
    const Vector sum_a = m[1] + m[2], sum_b = m[3] + m[4];
    out[0] = m[0] + sum_a + sum_b;
    out[1] = point_a * (m[1] - m[2]) + point_b * (m[3] - m[4]);
    out[2] = 0.5f * sum_a + 2.0f * sum_b + m[5];
  }
};

/// Both axes: from·from pixels become to·to, for whole vectors of channels. `from` and `to` hold a pointer per pixel, to
/// numbers stored as S and as T.
template <class Step, class S, class T>
SSLCAKE_SIMD_TARGET SSLCAKE_NOINLINE void transform_vectors(const S* const* from, T* const* to, std::int64_t channels) {
  constexpr int n = Step::from, m = Step::to;
  for (std::int64_t c = 0; c < channels; c += lanes) {
    Vector half[m][n];
    SSLCAKE_UNROLL
    for (int j = 0; j < n; ++j) {
      Vector column[n], out[m];
      SSLCAKE_UNROLL
      for (int i = 0; i < n; ++i) load(column[i], from[i * n + j] + c);
      Step::apply(column, out);
      SSLCAKE_UNROLL
      for (int i = 0; i < m; ++i) half[i][j] = out[i];
    }
    SSLCAKE_UNROLL
    for (int i = 0; i < m; ++i) {
      Vector out[m];
      Step::apply(half[i], out);
      SSLCAKE_UNROLL
      for (int j = 0; j < m; ++j) store(out[j], to[i * m + j] + c);
    }
  }
}

/// Any number of channels. Where the results have room for whole vectors (`padded`), zeros are written behind the last.
template <class Step, class S, class T>
void transform(const S* const* from, T* const* to, std::int64_t channels, bool padded) {
  constexpr int n = Step::from * Step::from, m = Step::to * Step::to;
  const std::int64_t whole = channels / lanes * lanes;
  transform_vectors<Step>(from, to, whole);
  if (whole == channels) return;
  const std::int64_t rest = channels - whole;
  alignas(64) S in[n * lanes] = {};
  alignas(64) T out[m * lanes];
  const S* in_at[n];
  T* out_at[m];
  for (int i = 0; i < n; ++i) std::copy_n(from[i] + whole, rest, in + i * lanes), in_at[i] = in + i * lanes;
  for (int i = 0; i < m; ++i) out_at[i] = padded ? to[i] + whole : out + i * lanes;
  transform_vectors<Step>(in_at, out_at, lanes);
  for (int i = 0; i < (padded ? 0 : m); ++i) std::copy_n(out + i * lanes, rest, to[i] + whole);
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
