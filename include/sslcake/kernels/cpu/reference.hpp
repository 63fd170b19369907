// The reference kernels: the shortest correct text, on Eigen or as plain loops (SSLCAKE_EIGEN). Tuned variants are tested against
// it, float64 always uses it, and so does every CPU for which there is nothing better.
#pragma once

#include <cstdint>

#include "../../core/dtype.hpp"
#include "../conv_shape.hpp"

namespace sslcake::inline v0::kernels::reference {

void gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
          const float* b, std::int64_t ldb, float* c, std::int64_t ldc, bool accumulate);
void gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const double* a, std::int64_t lda,
          const double* b, std::int64_t ldb, double* c, std::int64_t ldc, bool accumulate);

void conv2d_forward(const ConvShape& shape, const float* x, const float* w, float* y);
void conv2d_forward(const ConvShape& shape, const double* x, const double* w, double* y);
void conv2d_forward_sums(const ConvShape& shape, const float* x, const float* w, float* y, const float* center, double* sum,
                         double* sum_sq);
void conv2d_input_grad(const ConvShape& shape, const float* dy, const float* w, float* dx);
void conv2d_forward_sums(const ConvShape& shape, const double* x, const double* w, double* y, const double* center, double* sum,
                         double* sum_sq);
void conv2d_input_grad(const ConvShape& shape, const double* dy, const double* w, double* dx);
void conv2d_weight_grad(const ConvShape& shape, const float* x, const float* dy, float* dw);
void conv2d_weight_grad(const ConvShape& shape, const double* x, const double* dy, double* dw);

void widen(std::int64_t count, const bfloat16* from, float* to);
void narrow(std::int64_t count, const float* from, bfloat16* to);

}  // namespace sslcake::inline v0::kernels::reference

#ifndef SSLCAKE_COMPILED
#include "reference_inl.hpp"
#endif
