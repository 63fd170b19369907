// Rows of bfloat16 to rows of float32 and back. Read once per instruction set, see tile.hpp.
#if defined(SSLCAKE_SIMD_NAMESPACE)

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

SSLCAKE_SIMD_TARGET inline void widen(std::int64_t count, const bfloat16* from, float* to) {
  std::int64_t i = 0;
  for (Vector v; i + lanes <= count; i += lanes) {
    load(v, from + i);
    store(v, to + i);
  }
  for (; i < count; ++i) to[i] = static_cast<float>(from[i]);
}

SSLCAKE_SIMD_TARGET inline void narrow(std::int64_t count, const float* from, bfloat16* to) {
  std::int64_t i = 0;
  for (Vector v; i + lanes <= count; i += lanes) {
    load(v, from + i);
    store(v, to + i);
  }
  for (; i < count; ++i) to[i] = bfloat16(from[i]);
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#endif
