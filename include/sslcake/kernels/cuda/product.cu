// float32 matrix products of any shape: product_tile.cuh on stored matrices.
#include "product.hpp"

#include "product_tile.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

/// Sorts the dimensions into those of C and those that are summed over, and joins neighbours that one stride can walk.
ProductPlan plan_of(const MatrixProduct& p) {
  ProductPlan plan;
  plan.m = product_extent("matmul", p.m);
  plan.n = product_extent("matmul", p.n);
  plan.k = product_extent("matmul", p.k);
  const auto add = [](ProductDim* dims, int& rank, const ProductDim& d) {
    if (rank > 0) {
      ProductDim& last = dims[rank - 1];
      if (last.a == d.a * d.extent && last.b == d.b * d.extent && last.c == d.c * d.extent) {
        last = {last.extent * d.extent, d.a, d.b, d.c};
        return;
      }
    }
    dims[rank++] = d;
  };
  for (int i = 0; i < p.rank; ++i) {
    const ProductDim& d = p.dims[i];
    if (d.extent == 1) continue;
    (d.c ? plan.batch : plan.repeats) *= d.extent;
    if (d.c) add(plan.dims, plan.rank, d);
    else add(plan.sum_dims, plan.sum_rank, d);
  }
  if (plan.repeats == 0) plan.k = 0, plan.repeats = 1, plan.sum_rank = 0;  // nothing to sum
  return plan;
}

void gemm(const MatrixProduct& p, const float* a, const float* b, const float* bias, float* c) {
  const ProductPlan plan = plan_of(p);
  bool vector_a = fours(a, p.lda), vector_b = fours(b, p.ldb), vector_c = fours(c, p.ldc);
  for (int i = 0; i < p.rank; ++i) {
    vector_a = vector_a && p.dims[i].a % 4 == 0;
    vector_b = vector_b && p.dims[i].b % 4 == 0;
    vector_c = vector_c && p.dims[i].c % 4 == 0;
  }
  const StoredRows<float> to{c, p.ldc, bias, p.accumulate, vector_c};
  const auto with_a = [&](const auto& operand_a) {
    if (p.transpose_b) run_product("matmul", plan, operand_a, RowMajor<float>{b, p.ldb, plan.n, plan.k, vector_b}, to);
    else run_product("matmul", plan, operand_a, ColumnMajor<float>{b, p.ldb, plan.n, plan.k, vector_b}, to);
  };
  if (p.transpose_a) with_a(ColumnMajor<float>{a, p.lda, plan.m, plan.k, vector_a});
  else with_a(RowMajor<float>{a, p.lda, plan.m, plan.k, vector_a});
}

}  // namespace

void install(Product& table) { table.gemm = gemm; }

}  // namespace sslcake::inline v0::kernels::cuda
