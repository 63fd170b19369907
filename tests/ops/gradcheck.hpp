// Checks of differentiable functions against central differences, and the registry of ops that have such checks.
//
//   OP_CASE("relu") {
//     for (const Shape& s : usual_shapes())
//       gradcheck([](const Tensors& x) { return ops::relu(x[0]); }, {random_input(s, 1, -1, 1, {0.0})});
//   }
//
// test_registry.cpp fails for every name given to `record("...")` under include/sslcake/ops/ that has no OP_CASE, and for
// every op whose cases leave out one of the four kinds of shape: ordinary, odd, size-1 and empty.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sslcake/autograd/tape.hpp"
#include "sslcake/core/random.hpp"
#include "sslcake/core/tensor.hpp"

namespace op_test {

using sslcake::DType;
using sslcake::Shape;
using sslcake::Tensor;
using Tensors = std::vector<Tensor>;
using Function = std::function<Tensor(const Tensors&)>;

/// PyTorch's torch.autograd.gradcheck: |analytic − numeric| ≤ atol + rtol·|numeric|.
struct GradcheckOptions {
  double eps = 1e-6, atol = 1e-5, rtol = 1e-3;
};

/// Checks every element of the gradient of L = Σ w·y, y = fn(inputs), w fixed and random, for every float64 input (other
/// types are passed through as they are). Also checks that
///   - a second call, with another number of threads, gives the same bits,
///   - each input's gradient alone has the same bits as among all (Backward::needs),
///   - gradients are added to what `grad()` held before,
///   - a tensor that was saved and then changed in place is noticed, or was not needed,
///   - nothing is recorded under NoGrad.
/// `fn` must be a pure function of its inputs.
void gradcheck(const Function& fn, const Tensors& inputs, const GradcheckOptions& options = {});
/// What gradcheck found, in words; empty if all is well.
std::vector<std::string> gradient_problems(const Function& fn, const Tensors& inputs, const GradcheckOptions& options = {});

/// float64 in [low, high), the same for the same key; values closer than 0.01 to one of `kinks` are moved away from it.
Tensor random_input(const Shape& shape, std::uint64_t key = 0, double low = -1, double high = 1,
                    const std::vector<double>& kinks = {});
/// float64 in about [-1, 1], no two closer than 1/numel: for maxima, whose gradient jumps where values tie.
Tensor distinct_input(const Shape& shape, std::uint64_t key = 0);
/// int64 in [low, high).
Tensor random_integers(const Shape& shape, std::int64_t low, std::int64_t high, std::uint64_t key = 0);

/// One of each kind, for ops that take any shape.
inline std::vector<Shape> usual_shapes() { return {{4, 6}, {3, 5, 7}, {1, 1}, {}, {0, 3}, {2, 1, 3}}; }

/// CHECKs that `call` throws sslcake::Error and that the message contains every one of `words`.
void check_error(const std::function<void()>& call, const std::vector<std::string>& words);

/// CHECKs |a − b| ≤ atol + rtol·|b| elementwise (and equal shapes), with one message for the worst element.
void check_close(const Tensor& a, const Tensor& b, double rtol, double atol, const std::string& what = "");

bool same_bits(const Tensor& a, const Tensor& b);

// --- the registry ----------------------------------------------------------------------------------------------
struct OpCase {
  const char* op;
  void (*run)();
};
std::vector<OpCase>& op_cases();  // filled before main
inline bool add_op_case(const char* op, void (*run)()) {
  op_cases().push_back({op, run});
  return true;
}

/// Which kinds of shape gradcheck was called with.
struct ShapeKinds {
  bool ordinary = false, odd = false, one = false, empty = false;
};
/// Runs a case with gradcheck doing nothing but look at the shapes.
ShapeKinds shape_kinds_of(const OpCase& c);

/// What a case says of a device: whether it runs there, and where results or gradients differ from the CPU's in float64.
struct DeviceReport {
  int compared = 0;                    // calls of gradcheck whose numbers were compared in float32
  int compared_bfloat16 = 0;           // and in bfloat16, where the CPU takes that
  std::vector<std::string> problems;
};
/// Runs a case with gradcheck doing nothing but compare `device` with the CPU: the same inputs, rounded to float32, there in
/// float32, here in float64; and once more rounded to bfloat16, on both in bfloat16.
DeviceReport compare_devices(const OpCase& c, sslcake::Device device);

}  // namespace op_test

#define OP_CASE_NAMED(name, function)                                                          \
  static void function();                                                                      \
  [[maybe_unused]] static const bool DOCTEST_CAT(function, _known) = op_test::add_op_case(name, &function); \
  TEST_CASE("op " name) { function(); }                                                        \
  static void function()
/// Opens the body of a case for op `name` (several cases may have the same name).
#define OP_CASE(name) OP_CASE_NAMED(name, DOCTEST_ANONYMOUS(op_case_))
