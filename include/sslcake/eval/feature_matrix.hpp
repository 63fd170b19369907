// What all measurements of features share: the checks of a feature matrix (N,D) and of its labels (N), and unit rows.
#pragma once

#include <cmath>
#include <limits>

#include "../autograd/tape.hpp"
#include "../core/threads.hpp"
#include "../ops/on_device.hpp"

namespace sslcake::inline v0::eval::detail {

/// Rows divided by their lengths; rows of zeros stay. Lengths in double, so that large features do not overflow.
inline Tensor unit_rows(const Tensor& features) {
  Tensor out(features.shape(), DType::float32, features.device());
  const std::int64_t n = features.dim(0), d = features.dim(1);
  if (ops::detail::on_cuda("unit_rows", features)) {
    Tensor lengths(Shape{n}, DType::float32, features.device());
    kernels::cuda::table().losses.normalize(n, d, 1, std::numeric_limits<float>::min(),
                                            static_cast<const float*>(features.address()),
                                            static_cast<float*>(out.mutable_address()),
                                            static_cast<float*>(lengths.mutable_address()));
    return out;
  }
  const float* x = features.data<float>();
  float* y = out.mutable_data<float>();
  parallel_for(n, 256, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      double squares = 0;
      for (std::int64_t j = 0; j < d; ++j) squares += static_cast<double>(x[i * d + j]) * static_cast<double>(x[i * d + j]);
      const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
      for (std::int64_t j = 0; j < d; ++j) y[i * d + j] = static_cast<float>(scale * static_cast<double>(x[i * d + j]));
    }
  });
  return out;
}

inline void check_features(const char* where, const char* what, const Tensor& t) {
  if (!t.defined() || t.rank() != 2 || t.dtype() != DType::float32 || t.dim(0) < 1 || t.dim(1) < 1)
    fail(where, "expected ", what, " as float32 (N,D) with N, D >= 1, got ", t.dtype(), ' ', t.shape());
  if (!all_finite(t)) fail(where, "expected finite ", what, "; there are NaN or infinite values among them");
}

inline void check_labels(const char* where, const char* what, const Tensor& labels, std::int64_t n) {
  if (!labels.defined() || labels.rank() != 1 || labels.dtype() != DType::int64 || labels.dim(0) != n)
    fail(where, "expected ", what, " as int64 (", n, "), one per row of features, got ", labels.dtype(), ' ', labels.shape());
  const Tensor on_host = labels.to(Device::cpu);
  const auto* p = on_host.data<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i)
    if (p[i] < 0) fail(where, "expected ", what, " >= 0, got ", p[i], " at row ", i, "; the data set has no labels");
}

}  // namespace sslcake::inline v0::eval::detail
