// The elementwise kernels as a table: functions of one and two tensors, arithmetic with broadcasting, filling, converting.
// Types are float32 or bfloat16 (computed in float32) where nothing else is said. Results are overwritten and must not
// overlap the operands.
#pragma once

#include <cstdint>

#include "../../core/dtype.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// A result walked over with two operands: its extents, merged into as few dimensions as possible, and each operand's step
/// along them in elements, 0 where it is repeated. The last step is 0 or 1.
struct BroadcastPlan {
  int rank = 0;
  std::int64_t extent[8] = {}, step_a[8] = {}, step_b[8] = {};
};

struct Elementwise {
  /// y = f(x; a, b) and dx = f'(kept; a, b)·dy for function `id` of functions::Unary, n elements each. `kept` is not read by
  /// functions that keep nothing.
  void (*unary_value)(int id, DType type, std::int64_t n, const void* x, void* y, double a, double b) = nullptr;
  void (*unary_gradient)(int id, DType type, std::int64_t n, const void* kept, const void* dy, void* dx, double a,
                         double b) = nullptr;
  /// y = f(x, t; a, b) for function `id` of functions::Pair, and dx = dy·∂f/∂x (which = 0) or dy·∂f/∂t (which = 1).
  void (*pair_value)(int id, DType type, std::int64_t n, const void* x, const void* t, void* y, double a, double b) = nullptr;
  void (*pair_gradient)(int id, int which, DType type, std::int64_t n, const void* x, const void* t, const void* dy, void* dx,
                        double a, double b) = nullptr;
  /// y = a ∘ b for function `id` of functions::Arithmetic, broadcast as the plan says.
  void (*arithmetic)(int id, DType type, const BroadcastPlan& plan, const void* a, const void* b, void* y) = nullptr;
  /// y = t repeated; of the plan the steps of operand b are those of t.
  void (*repeat_to)(DType type, const BroadcastPlan& plan, const void* t, void* y) = nullptr;
  /// y = a + b in float32 for bfloat16 b.
  void (*add_widened)(std::int64_t n, const float* a, const void* b, float* y) = nullptr;
  /// a += b.
  void (*add_into)(DType type, std::int64_t n, void* a, const void* b) = nullptr;
  /// y = value, any type (float64 too), converted as sslcake::detail::convert does.
  void (*fill)(DType type, std::int64_t n, void* y, double value) = nullptr;
  /// The numbers in another type: float32, bfloat16, int64, uint8, boolean. What an integer cannot hold becomes its nearest
  /// bound, NaN 0.
  void (*convert)(DType from_type, const void* from, DType to_type, void* to, std::int64_t n) = nullptr;
};
void install(Elementwise& table);  // elementwise.cu

}  // namespace sslcake::inline v0::kernels::cuda
