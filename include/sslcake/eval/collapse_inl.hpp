#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "../core/threads.hpp"
#include "../kernels/gemm.hpp"
#include "../ops/pointwise.hpp"
#include "../ops/reduce.hpp"
#include "../ops/shape_ops.hpp"
#include "collapse.hpp"
#include "feature_matrix.hpp"

namespace sslcake::inline v0::eval {
namespace detail {

/// Householder: reflections A <- H A H, one per row, until only the diagonal and its neighbour are left. Row i of the
/// lower triangle becomes the reflection's vector u; with p = A u / h and q = p - (uᵀp / 2h) u, A <- A - q uᵀ - u qᵀ.
inline void tridiagonalise(std::vector<double>& a, std::int64_t n, std::vector<double>& diagonal, std::vector<double>& beside) {
  std::vector<double> q(static_cast<std::size_t>(n));
  for (std::int64_t i = n - 1; i > 0; --i) {
    double* u = a.data() + i * n;  // entries 0..i-1
    double h = 0;
    for (std::int64_t k = 0; k < i; ++k) h += u[k] * u[k];
    double outside = 0;
    for (std::int64_t k = 0; k + 1 < i; ++k) outside += u[k] * u[k];
    if (outside == 0) {  // nothing to clear in this row
      beside[static_cast<std::size_t>(i)] = u[i - 1];
      continue;
    }
    const double g = u[i - 1] >= 0 ? -std::sqrt(h) : std::sqrt(h);
    beside[static_cast<std::size_t>(i)] = g;
    h -= u[i - 1] * g;
    u[i - 1] -= g;
    // The leading block is kept whole (both triangles), so that every row is read in order.
    parallel_for(i, 128, [&](std::int64_t begin, std::int64_t end) {
      for (auto j = begin; j < end; ++j) {
        const double* row = a.data() + j * n;
        double sum = 0;
        for (std::int64_t k = 0; k < i; ++k) sum += row[k] * u[k];
        q[static_cast<std::size_t>(j)] = sum / h;
      }
    });
    double up = 0;
    for (std::int64_t k = 0; k < i; ++k) up += u[k] * q[static_cast<std::size_t>(k)];
    for (std::int64_t k = 0; k < i; ++k) q[static_cast<std::size_t>(k)] -= up / (2 * h) * u[k];
    parallel_for(i, 128, [&](std::int64_t begin, std::int64_t end) {
      for (auto j = begin; j < end; ++j) {
        double* row = a.data() + j * n;
        const double qj = q[static_cast<std::size_t>(j)], uj = u[j];
        for (std::int64_t k = 0; k < i; ++k) row[k] -= qj * u[k] + uj * q[static_cast<std::size_t>(k)];
      }
    });
  }
  for (std::int64_t i = 0; i < n; ++i) diagonal[static_cast<std::size_t>(i)] = a[static_cast<std::size_t>(i * n + i)];
}

/// QL with implicit shifts on a tridiagonal matrix: plane rotations chase a bulge from the bottom of the first
/// undivided block to its top, until the element beside d[first] is negligible and d[first] an eigenvalue.
inline void tridiagonal_eigenvalues(std::vector<double>& d, std::vector<double>& e) {
  const auto n = d.size();
  for (std::size_t i = 1; i < n; ++i) e[i - 1] = e[i];  // e[i] now stands between d[i] and d[i+1]
  if (n > 0) e[n - 1] = 0;
  double largest = 0;
  for (std::size_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(d[i]) + std::fabs(e[i]));
  const double negligible = std::numeric_limits<double>::epsilon() * largest;
  for (std::size_t first = 0; first < n; ++first) {
    for (int round = 0;; ++round) {
      std::size_t last = first;
      while (last + 1 < n && std::fabs(e[last]) > negligible) ++last;
      if (last == first) break;
      if (round == 100) fail("symmetric_eigenvalues", "the iteration did not converge");
      // Wilkinson's shift: the eigenvalue of the leading 2×2 block nearer to d[first].
      double g = (d[first + 1] - d[first]) / (2 * e[first]);
      double r = std::hypot(g, 1.0);
      g = d[last] - d[first] + e[first] / (g + (g >= 0 ? r : -r));
      double s = 1, c = 1, p = 0;
      bool split = false;
      for (std::size_t i = last; i-- > first;) {
        const double f = s * e[i], b = c * e[i];
        r = std::hypot(f, g);
        e[i + 1] = r;
        if (r == 0) {  // the block has fallen apart
          d[i + 1] -= p;
          e[last] = 0;
          split = true;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
      }
      if (split) continue;
      d[first] -= p;
      e[first] = g;
      e[last] = 0;
    }
  }
}

/// xᵀx (D,D) of x (N,D), or x xᵀ (N,N) where that is smaller: row-major, in double. x may be scaled to avoid overflow: only
/// ratios of the eigenvalues matter. From CUDA only the result comes back.
inline std::vector<double> smaller_gram(const Tensor& matrix) {
  const std::int64_t n = matrix.dim(0), d = matrix.dim(1), m = std::min(n, d);
  if (ops::detail::on_cuda("effective_rank", matrix)) {
    Tensor gram(Shape{m, m}, DType::float64, matrix.device());
    kernels::cuda::table().reduce.gram(n, d, d <= n, static_cast<const float*>(matrix.address()),
                                       static_cast<double*>(gram.mutable_address()));
    return gram.to_vector<double>();
  }
  std::vector<double> x = matrix.to_vector<double>(), gram(static_cast<std::size_t>(m * m));
  double largest = 0;
  for (const double v : x) largest = std::max(largest, std::fabs(v));
  if (largest == 0) return gram;
  for (double& v : x) v /= largest;
  kernels::gemm(d <= n, d > n, m, m, d <= n ? n : d, x.data(), d, x.data(), d, gram.data(), m);
  return gram;
}

/// The deviation of each column of unit (N,D), averaged over the columns.
inline double mean_deviation(const Tensor& unit) {
  if (ops::detail::on_cuda("collapse", unit)) return ops::mean(ops::sqrt(ops::variance(unit, {0}, false, 0))).item();
  const std::int64_t n = unit.dim(0), d = unit.dim(1);
  const float* u = unit.data<float>();
  double deviation = 0;
  for (std::int64_t j = 0; j < d; ++j) {
    double mean = 0, squares = 0;
    for (std::int64_t i = 0; i < n; ++i) mean += static_cast<double>(u[i * d + j]);
    mean /= static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i) {
      const double distance = static_cast<double>(u[i * d + j]) - mean;
      squares += distance * distance;
    }
    deviation += std::sqrt(squares / static_cast<double>(n)) / static_cast<double>(d);
  }
  return deviation;
}

}  // namespace detail

SSLCAKE_INLINE std::vector<double> symmetric_eigenvalues(std::vector<double> matrix, std::int64_t n) {
  if (n < 0 || static_cast<std::int64_t>(matrix.size()) != n * n)
    fail("symmetric_eigenvalues", "expected ", n, " x ", n, " numbers, got ", matrix.size());
  std::vector<double> diagonal(static_cast<std::size_t>(n)), beside(static_cast<std::size_t>(n));
  detail::tridiagonalise(matrix, n, diagonal, beside);
  detail::tridiagonal_eigenvalues(diagonal, beside);
  std::sort(diagonal.begin(), diagonal.end());
  return diagonal;
}

SSLCAKE_INLINE double effective_rank(const Tensor& matrix) {
  detail::check_features("effective_rank", "features", matrix);
  const std::int64_t m = std::min(matrix.dim(0), matrix.dim(1));
  // The squared singular values are the eigenvalues of xᵀx, or of x xᵀ. They are found on the host: a small matrix, and steps
  // that wait for one another.
  std::vector<double> singular = symmetric_eigenvalues(detail::smaller_gram(matrix), m);
  if (singular.back() <= 0) return 0;
  // Eigenvalues below the rounding of the largest are noise whose square roots would look like signal.
  const double noise = singular.back() * 1e-14 * static_cast<double>(m);
  double sum = 0, entropy = 0;
  for (double& s : singular) sum += s = s > noise ? std::sqrt(s) : 0;
  for (const double s : singular)
    if (s > 0) entropy -= s / sum * std::log(s / sum);
  return std::exp(entropy);
}

SSLCAKE_INLINE CollapseReport collapse(const Tensor& features, const CollapseOptions& options) {
  detail::check_features("collapse", "features", features);
  const std::int64_t all = features.dim(0), d = features.dim(1);
  if (all < 2) fail("collapse", "expected the features of at least 2 pictures, got ", features.shape());
  const std::int64_t n = std::min(all, std::max<std::int64_t>(2, options.most_rows));
  std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) rows[static_cast<std::size_t>(i)] = i * all / n;
  const NoGrad no_grad;
  const Tensor some = ops::index_select(features, from_vector({n}, rows).to(features.device()));

  CollapseReport report;
  report.deviation = detail::mean_deviation(detail::unit_rows(some));
  report.healthy_deviation = 1 / std::sqrt(static_cast<double>(d));
  report.effective_rank = effective_rank(some);

  const std::int64_t most = std::min(n, d);
  report.text = concat("deviation ", report.deviation, " (evenly spread: ", report.healthy_deviation, "), effective rank ",
                       report.effective_rank, " of ", most);
  const bool one_point = report.deviation < options.least_deviation * report.healthy_deviation;
  const bool one_line = most >= 8 && report.effective_rank < options.least_rank;
  report.warning = one_point || one_line;
  if (one_point) report.text += ": COLLAPSE, the encoder answers every picture (nearly) alike";
  else if (one_line) report.text += ": COLLAPSE, the features use (nearly) one direction only";
  if (report.warning)
    report.text += "; lower the learning rate, lengthen the warm-up, or check the views and the task's negatives";
  return report;
}

}  // namespace sslcake::inline v0::eval
