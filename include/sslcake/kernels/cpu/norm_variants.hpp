// The loops of norm_loops.hpp for every instruction set, beside a reference in plain C++, and the choice among them.
#pragma once

#include "isa.hpp"
#include "norm_loops.hpp"

namespace sslcake::inline v0::kernels::norm_loops {

/// The loops for one instruction set, to be called through pointers. `affine` and the gradients look at the pointers of
/// the plain step to see which variant is meant.
template <class S>
struct Table {
  void (*moments)(std::int64_t rows, const Moments<S>& step);
  void (*affine)(std::int64_t rows, const Affine<S, false, false>& step, bool relu);
  void (*grad_sums)(std::int64_t rows, const GradSums<S, MaskBy::none>& step);
  void (*grad_apply)(std::int64_t rows, const GradApply<S, MaskBy::none>& step);
};

/// The plain text, without vectors and without variants.
template <class S, class T = compute_t<S>>
struct Reference {
  static void moments(std::int64_t rows, const Moments<S>& s) {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < s.width; ++c) {
        const T centred = T(s.x[r * s.width + c]) - s.origin[c];
        s.sum[c] += centred;
        s.square[c] += centred * centred;
      }
  }
  static void affine(std::int64_t rows, const Affine<S, false, false>& s, bool relu) {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < s.width; ++c) {
        const std::int64_t i = r * s.width + c;
        const T y = T(s.x[i]) * s.scale[c] + s.shift[c] + (s.residual ? T(s.residual[i]) : T(0));
        s.y[i] = S(relu && y < 0 ? T(0) : y);
      }
  }
  /// dy behind the ReLU.
  static T masked(const ReluMask<S>& mask, std::int64_t i, std::int64_t c, T dy, T x) {
    if (mask.result) return T(mask.result[i]) > 0 ? dy : T(0);
    if (mask.scale) return x * mask.scale[c] + mask.shift[c] > 0 ? dy : T(0);
    return dy;
  }
  static void grad_sums(std::int64_t rows, const GradSums<S, MaskBy::none>& s) {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < s.width; ++c) {
        const std::int64_t i = r * s.width + c;
        const T g = masked(s.mask, i, c, T(s.dy[i]), T(s.x[i]));
        if (s.mask.result) s.masked[i] = S(g);
        s.sum[c] += g;
        s.product[c] += g * (T(s.x[i]) - s.mean[c]);
      }
  }
  static void grad_apply(std::int64_t rows, const GradApply<S, MaskBy::none>& s) {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < s.width; ++c) {
        const std::int64_t i = r * s.width + c;
        const T g = masked(s.mask, i, c, T(s.dy[i]), T(s.x[i]));
        s.dx[i] = S(s.a[c] * g + (s.b[c] * (T(s.x[i]) - s.mean[c]) + s.d[c]));
      }
  }
  static constexpr Table<S> table{moments, affine, grad_sums, grad_apply};
};

/// Defines a struct template `name` with the same functions for the instruction set of `target`, on vectors of `bytes`.
#define SSLCAKE_NORM_LOOPS(name, target, bytes)                                                                                \
  template <class S>                                                                                                           \
  struct name {                                                                                                                \
    template <bool relu, bool residual>                                                                                        \
    using A = Affine<S, relu, residual>;                                                                                       \
    template <MaskBy by>                                                                                                       \
    using D = GradSums<S, by>;                                                                                                 \
    using G = GradApply<S, MaskBy::recomputing>;                                                                               \
    target static void moments(std::int64_t rows, const Moments<S>& s) { sweep<bytes, compute_t<S>>(rows, s.width, s); }       \
    target static void affine(std::int64_t rows, const A<false, false>& s, bool relu) {                                        \
      if (relu && s.residual)                                                                                                  \
        sweep<bytes, compute_t<S>>(rows, s.width, A<true, true>{s.width, s.x, s.scale, s.shift, s.residual, s.y});             \
      else if (relu) sweep<bytes, compute_t<S>>(rows, s.width, A<true, false>{s.width, s.x, s.scale, s.shift, nullptr, s.y});  \
      else if (s.residual)                                                                                                     \
        sweep<bytes, compute_t<S>>(rows, s.width, A<false, true>{s.width, s.x, s.scale, s.shift, s.residual, s.y});            \
      else sweep<bytes, compute_t<S>>(rows, s.width, s);                                                                       \
    }                                                                                                                          \
    target static void grad_sums(std::int64_t rows, const D<MaskBy::none>& s) {                                                \
      if (s.mask.result)                                                                                                       \
        sweep<bytes, compute_t<S>>(rows, s.width,                                                                              \
                                   D<MaskBy::result>{s.width, s.dy, s.x, s.mean, s.mask, s.masked, s.sum, s.product});         \
      else if (s.mask.scale)                                                                                                   \
        sweep<bytes, compute_t<S>>(rows, s.width,                                                                              \
                                   D<MaskBy::recomputing>{s.width, s.dy, s.x, s.mean, s.mask, s.masked, s.sum, s.product});    \
      else sweep<bytes, compute_t<S>>(rows, s.width, s);                                                                       \
    }                                                                                                                          \
    target static void grad_apply(std::int64_t rows, const GradApply<S, MaskBy::none>& s) {                                    \
      if (s.mask.scale) sweep<bytes, compute_t<S>>(rows, s.width, G{s.width, s.dy, s.x, s.mean, s.mask, s.a, s.b, s.d, s.dx}); \
      else sweep<bytes, compute_t<S>>(rows, s.width, s);                                                                       \
    }                                                                                                                          \
    static constexpr Table<S> table{moments, affine, grad_sums, grad_apply};                                                   \
  }

SSLCAKE_NORM_LOOPS(Portable, , 16);
#if SSLCAKE_X86
SSLCAKE_NORM_LOOPS(Avx2, __attribute__((target("avx2,fma"))), 32);
SSLCAKE_NORM_LOOPS(Avx512, __attribute__((target("avx512f,avx2,fma"))), 64);
#endif
#undef SSLCAKE_NORM_LOOPS

/// The loops of the instruction set in use.
template <class S>
const Table<S>& table() {
  switch (isa()) {
    case Isa::reference: return Reference<S>::table;
#if SSLCAKE_X86
    case Isa::avx2: return Avx2<S>::table;
    case Isa::avx512:
    case Isa::avx512bf16:
    case Isa::amx: return Avx512<S>::table;
#endif
    default: return Portable<S>::table;
  }
}

}  // namespace sslcake::inline v0::kernels::norm_loops
