// Arithmetic of two tensors with broadcasting, and sums in place or of two types. The formulae are those of
// kernels/functions.hpp.
#include "../../core/error.hpp"
#include "../functions.hpp"
#include "elementwise_parts.hpp"
#include "instructions.cuh"
#include "launch.cuh"
#include "wide.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

using functions::List;

constexpr int threads = 256;

unsigned blocks(std::int64_t n, int lanes) { return striding_blocks(blocks_for(n, lanes), threads); }
[[noreturn]] void fail_type(const char* op, DType type) { fail(op, "expected float32 or bfloat16 on cuda, got ", type); }

// The plan with indices of 32 bits, whose division is several times cheaper, where they suffice. A vector of the result lies
// in one row; an operand's part of it is a vector too (inner step 1) or one number (0).
template <class Index>
struct Walk {
  int rank;
  Index extent[8], step_a[8], step_b[8];
  bool repeats_a, repeats_b;  // along the last dimension
};

struct Second {  // b alone
  template <class T>
  static SSLCAKE_ANY_DEVICE T value(T, T b) { return b; }
};

template <class F, class S, int lanes, class Index>
__global__ void __launch_bounds__(threads)
    arithmetic_kernel(std::int64_t n, const __grid_constant__ Walk<Index> walk, const S* __restrict__ a, const S* __restrict__ b,
                      S* __restrict__ y) {
  for_each_vector<lanes>(n, [&](std::int64_t i, auto width) {
    constexpr int count = decltype(width)::value;
    Index rest = static_cast<Index>(i), at_a = 0, at_b = 0;
    for (int d = walk.rank - 1; d > 0; --d) {
      const Index above = rest / walk.extent[d], index = rest - above * walk.extent[d];
      at_a += index * walk.step_a[d];
      at_b += index * walk.step_b[d];
      rest = above;
    }
    at_a += rest * walk.step_a[0];
    at_b += rest * walk.step_b[0];
    float v[count], w[count];
    const auto fetch = [](const S* from, bool repeats, float (&to)[count]) {
      if (repeats) {
        const float value = widen(*from);
        for (float& each : to) each = value;
      } else {
        load(from, to);
      }
    };
    fetch(a + at_a, walk.repeats_a, v);
    fetch(b + at_b, walk.repeats_b, w);
    for (int l = 0; l < count; ++l) v[l] = F::value(v[l], w[l]);
    store(y + i, v);
  });
}

template <class F, class S, int lanes, class Index>
void walk_with(const BroadcastPlan& plan, std::int64_t n, const void* a, const void* b, void* y) {
  Walk<Index> walk{};
  walk.rank = plan.rank;
  for (int d = 0; d < plan.rank; ++d) {
    walk.extent[d] = static_cast<Index>(plan.extent[d]);
    walk.step_a[d] = static_cast<Index>(plan.step_a[d]);
    walk.step_b[d] = static_cast<Index>(plan.step_b[d]);
  }
  walk.repeats_a = plan.rank > 0 && plan.step_a[plan.rank - 1] == 0;
  walk.repeats_b = plan.rank > 0 && plan.step_b[plan.rank - 1] == 0;
  launch("arithmetic", arithmetic_kernel<F, S, lanes, Index>, blocks(n, lanes), threads, 0, n, walk, static_cast<const S*>(a),
         static_cast<const S*>(b), static_cast<S*>(y));
}

/// Whether an operand can be read 16 bytes at a time, or not at all along the last dimension.
bool vectors_lie_aligned(const BroadcastPlan& plan, const std::int64_t (&step)[8], const void* data, int lanes) {
  if (plan.rank == 0) return false;
  if (step[plan.rank - 1] == 0) return true;
  for (int d = 0; d + 1 < plan.rank; ++d)
    if (step[d] % lanes != 0) return false;
  return aligned(data, 16);
}

template <class F, class S>
struct ArithmeticLaunch {
  static void run(const BroadcastPlan& plan, const void* a, const void* b, void* y) {
    constexpr int lanes = lanes_of<S>;
    std::int64_t n = 1;
    for (int d = 0; d < plan.rank; ++d) n *= plan.extent[d];
    if (n == 0) return;
    const bool wide = vectors_lie_aligned(plan, plan.step_a, a, lanes) && vectors_lie_aligned(plan, plan.step_b, b, lanes) &&
                      aligned(y, 16) && (plan.rank == 1 || plan.extent[plan.rank - 1] % lanes == 0);
    const bool is_short = n < (std::int64_t{1} << 31);
    if (wide && is_short) walk_with<F, S, lanes, std::uint32_t>(plan, n, a, b, y);
    else if (wide) walk_with<F, S, lanes, std::uint64_t>(plan, n, a, b, y);
    else if (is_short) walk_with<F, S, 1, std::uint32_t>(plan, n, a, b, y);
    else walk_with<F, S, 1, std::uint64_t>(plan, n, a, b, y);
  }
};
using ArithmeticRun = void (*)(const BroadcastPlan&, const void*, const void*, void*);
template <class S, class... F>
ArithmeticRun arithmetic_of(List<F...>, int id) {
  static constexpr ArithmeticRun all[] = {ArithmeticLaunch<F, S>::run...};
  return all[id];
}

void arithmetic(int id, DType type, const BroadcastPlan& plan, const void* a, const void* b, void* y) {
  if (type != DType::float32 && type != DType::bfloat16) fail_type("arithmetic", type);
  (type == DType::float32 ? arithmetic_of<float>(functions::Arithmetic{}, id) : arithmetic_of<Bf16>(functions::Arithmetic{}, id))(
      plan, a, b, y);
}
void repeat_to(DType type, const BroadcastPlan& given, const void* t, void* y) {
  if (type != DType::float32 && type != DType::bfloat16) fail_type("repeat_to", type);
  BroadcastPlan plan = given;
  for (int d = 0; d < plan.rank; ++d) plan.step_a[d] = plan.step_b[d];  // the first operand is not read
  if (type == DType::float32) ArithmeticLaunch<Second, float>::run(plan, t, t, y);
  else ArithmeticLaunch<Second, Bf16>::run(plan, t, t, y);
}

// --- sums --------------------------------------------------------------------------------------------------------------
template <int lanes>
__global__ void __launch_bounds__(threads)
    add_widened_kernel(std::int64_t n, const float* __restrict__ a, const Bf16* __restrict__ b, float* __restrict__ y) {
  for_each_vector<lanes>(n, [=](std::int64_t i, auto width) {
    float v[decltype(width)::value], w[decltype(width)::value];
    load(a + i, v);
    load(b + i, w);
    for (int l = 0; l < decltype(width)::value; ++l) v[l] += w[l];
    store(y + i, v);
  });
}
template <class S, int lanes>
__global__ void __launch_bounds__(threads) add_into_kernel(std::int64_t n, S* __restrict__ a, const S* __restrict__ b) {
  for_each_vector<lanes>(n, [=](std::int64_t i, auto width) {
    float v[decltype(width)::value], w[decltype(width)::value];
    load(a + i, v);
    load(b + i, w);
    for (int l = 0; l < decltype(width)::value; ++l) v[l] += w[l];
    store(a + i, v);
  });
}

void add_widened(std::int64_t n, const float* a, const void* b, float* y) {
  if (n == 0) return;
  const bool wide = aligned(a, 16) && aligned(b, 16) && aligned(y, 16);
  launch("add", wide ? add_widened_kernel<8> : add_widened_kernel<1>, blocks(n, wide ? 8 : 1), threads, 0, n, a,
         static_cast<const Bf16*>(b), y);
}
template <class S>
void add_into_as(std::int64_t n, void* a, const void* b) {
  constexpr int lanes = lanes_of<S>;
  const bool wide = aligned(a, 16) && aligned(b, 16);
  launch("add_into", wide ? add_into_kernel<S, lanes> : add_into_kernel<S, 1>, blocks(n, wide ? lanes : 1), threads, 0, n,
         static_cast<S*>(a), static_cast<const S*>(b));
}
void add_into(DType type, std::int64_t n, void* a, const void* b) {
  if (n == 0) return;
  if (type == DType::float32) add_into_as<float>(n, a, b);
  else if (type == DType::bfloat16) add_into_as<Bf16>(n, a, b);
  else fail_type("add_into", type);
}

}  // namespace

void install_broadcasting(Elementwise& table) {
  table.arithmetic = arithmetic;
  table.repeat_to = repeat_to;
  table.add_widened = add_widened;
  table.add_into = add_into;
}

}  // namespace sslcake::inline v0::kernels::cuda
