#pragma once

#include <algorithm>
#include <vector>

#include "../core/storage.hpp"
#include "../core/threads.hpp"
#include "cpu/norm_variants.hpp"
#include "norm.hpp"

namespace sslcake::inline v0::kernels {
namespace detail {

inline constexpr std::int64_t norm_grain = 1 << 15;  // elements per chunk
inline constexpr std::int64_t norm_block = 64;       // rows that are summed in T before they go into float64

/// Few channels make short loops. Two rows of c channels are one row of 2c: while its rows are even in number, the
/// matrix is read as wider, with each channel's constants repeated.
struct WideRows {
  std::int64_t rows, width, copies = 1;
  WideRows(std::int64_t r, std::int64_t channels) : rows(r), width(channels) {
    while (width > 0 && width * 2 <= 64 && rows > 0 && rows % 2 == 0) {
      rows /= 2;
      width *= 2;
      copies *= 2;
    }
  }
  std::int64_t channels() const { return width / copies; }
  std::int64_t chunks() const { return chunk_count(rows, 1 + norm_grain / std::max<std::int64_t>(width, 1)); }
};

/// Constants of the channels, repeated for wide rows; null stays null.
template <class T>
class WideConstants {
 public:
  template <class S>
  WideConstants(const WideRows& wide, const S* constants) : storage_(constants ? wide.width : 0) {
    for (std::int64_t i = 0; i < (constants ? wide.width : 0); ++i) storage_[i] = static_cast<T>(constants[i % wide.channels()]);
  }
  const T* get() const { return storage_.data(); }

 private:
  Workspace<T> storage_;
};

/// Adds up two sums per channel. `body(first row, last row, sums in T, second sums in T)` is called for blocks of rows
/// and adds to `width` zeros each.
template <class T, class Body>
void sum_rows(const WideRows& wide, double* first, double* second, Body body) {
  const std::int64_t chunks = wide.chunks(), width = wide.width;
  const Workspace<double> partial(chunks * 2 * width);
  parallel_chunks(chunks, [&](std::int64_t k) {
    double* total = partial.data() + k * 2 * width;
    std::fill_n(total, 2 * width, 0.0);
    const Workspace<T> block(2 * width);
    const std::int64_t end = wide.rows * (k + 1) / chunks;
    for (std::int64_t r = wide.rows * k / chunks; r < end; r += norm_block) {
      std::fill_n(block.data(), 2 * width, T(0));
      body(r, std::min(r + norm_block, end), block.data(), block.data() + width);
      for (std::int64_t j = 0; j < 2 * width; ++j) total[j] += static_cast<double>(block[j]);
    }
  });
  std::fill_n(first, wide.channels(), 0.0);
  std::fill_n(second, wide.channels(), 0.0);
  for (std::int64_t k = 0; k < chunks; ++k)
    for (std::int64_t j = 0; j < width; ++j) {
      first[j % wide.channels()] += partial[2 * k * width + j];
      second[j % wide.channels()] += partial[(2 * k + 1) * width + j];
    }
}

}  // namespace detail

template <class S>
void channel_moments(std::int64_t rows, std::int64_t channels, const S* x, double* mean, double* variance) {
  using T = compute_t<S>;
  const detail::WideRows wide(rows, channels);
  const detail::WideConstants<T> origin(wide, x);  // the first row
  const auto& loops = norm_loops::table<S>();
  detail::sum_rows<T>(wide, mean, variance, [&](std::int64_t begin, std::int64_t end, T* sum, T* square) {
    loops.moments(end - begin, {wide.width, x + begin * wide.width, origin.get(), sum, square});
  });
  const double count = static_cast<double>(rows);
  for (std::int64_t c = 0; c < channels; ++c) {
    const double shifted = mean[c] / count, spread = variance[c] / count - shifted * shifted;
    mean[c] = static_cast<double>(static_cast<T>(x[c])) + shifted;
    variance[c] = spread < 0 ? 0 : spread;  // NaN stays NaN
  }
}

template <class S>
void column_sums(std::int64_t rows, std::int64_t channels, const S* x, double* sum) {
  using T = compute_t<S>;
  const detail::WideRows wide(rows, channels);
  const std::vector<T> zeros(static_cast<std::size_t>(wide.width));
  std::vector<double> squares(static_cast<std::size_t>(channels));  // come along with the sums, and are not looked at
  const auto& loops = norm_loops::table<S>();
  detail::sum_rows<T>(wide, sum, squares.data(), [&](std::int64_t begin, std::int64_t end, T* first, T* second) {
    loops.moments(end - begin, {wide.width, x + begin * wide.width, zeros.data(), first, second});
  });
}

template <class S, class T>
void channel_affine(std::int64_t rows, std::int64_t channels, const S* x, const T* scale, const T* shift, const S* residual,
                    bool relu, S* y) {
  const detail::WideRows wide(rows, channels);
  const detail::WideConstants<T> a(wide, scale), b(wide, shift);
  const auto& loops = norm_loops::table<S>();
  parallel_chunks(wide.chunks(), [&](std::int64_t k) {
    const std::int64_t begin = wide.rows * k / wide.chunks(), end = wide.rows * (k + 1) / wide.chunks(), at = begin * wide.width;
    loops.affine(end - begin, {wide.width, x + at, a.get(), b.get(), residual ? residual + at : nullptr, y + at}, relu);
  });
}

template <class S, class T>
void channel_grad_sums(std::int64_t rows, std::int64_t channels, const S* dy, const S* x, const T* mean, const ReluMask<S>& mask,
                       S* masked, double* sum, double* product_sum) {
  const detail::WideRows wide(rows, channels);
  const detail::WideConstants<T> m(wide, mean), a(wide, mask.scale), b(wide, mask.shift);
  const auto& loops = norm_loops::table<S>();
  detail::sum_rows<T>(wide, sum, product_sum, [&](std::int64_t begin, std::int64_t end, T* block_sum, T* block_product) {
    const std::int64_t at = begin * wide.width;
    const ReluMask<S> here{mask.result ? mask.result + at : nullptr, a.get(), b.get()};
    loops.grad_sums(end - begin,
                    {wide.width, dy + at, x + at, m.get(), here, masked ? masked + at : nullptr, block_sum, block_product});
  });
}

template <class S, class T>
void channel_grad_apply(std::int64_t rows, std::int64_t channels, const S* dy, const S* x, const T* mean, const ReluMask<S>& mask,
                        const T* a, const T* b, const T* d, S* dx) {
  const detail::WideRows wide(rows, channels);
  const detail::WideConstants<T> m(wide, mean), scale(wide, mask.scale), shift(wide, mask.shift), ka(wide, a), kb(wide, b),
      kd(wide, d);
  const auto& loops = norm_loops::table<S>();
  parallel_chunks(wide.chunks(), [&](std::int64_t k) {
    const std::int64_t begin = wide.rows * k / wide.chunks(), end = wide.rows * (k + 1) / wide.chunks(), at = begin * wide.width;
    loops.grad_apply(
        end - begin,
        {wide.width, dy + at, x + at, m.get(), {nullptr, scale.get(), shift.get()}, ka.get(), kb.get(), kd.get(), dx + at});
  });
}

#if defined(SSLCAKE_COMPILED)
#define SSLCAKE_NORM_INSTANCES(S, T)                                                                                            \
  template void channel_moments<S>(std::int64_t, std::int64_t, const S*, double*, double*);                                     \
  template void column_sums<S>(std::int64_t, std::int64_t, const S*, double*);                                                  \
  template void channel_affine<S, T>(std::int64_t, std::int64_t, const S*, const T*, const T*, const S*, bool, S*);             \
  template void channel_grad_sums<S, T>(std::int64_t, std::int64_t, const S*, const S*, const T*, const ReluMask<S>&, S*,       \
                                        double*, double*);                                                                      \
  template void channel_grad_apply<S, T>(std::int64_t, std::int64_t, const S*, const S*, const T*, const ReluMask<S>&,          \
                                         const T*, const T*, const T*, S*);
SSLCAKE_NORM_INSTANCES(float, float)
SSLCAKE_NORM_INSTANCES(double, double)
SSLCAKE_NORM_INSTANCES(bfloat16, float)
#undef SSLCAKE_NORM_INSTANCES
#endif

}  // namespace sslcake::inline v0::kernels
