// Functions of one and of two tensors. They are bound by memory: threads walk over the tensors 16 bytes at a time, where the
// addresses are aligned to that, and compute in float32. The formulae are those of kernels/functions.hpp.
#include "elementwise.hpp"

#include "../../core/error.hpp"
#include "../functions.hpp"
#include "elementwise_parts.hpp"
#include "instructions.cuh"
#include "launch.cuh"
#include "wide.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

using functions::ConstantsOf;
using functions::Keep;
using functions::List;

constexpr int threads = 256;

ConstantsOf<float> constants(double a, double b) { return {static_cast<float>(a), static_cast<float>(b)}; }
unsigned blocks(std::int64_t n, int lanes) { return striding_blocks(blocks_for(n, lanes), threads); }
[[noreturn]] void fail_type(const char* op, DType type) { fail(op, "expected float32 or bfloat16 on cuda, got ", type); }

// erfc takes more instructions than there is time for while the numbers arrive: Φ by Mills' ratio as in gelu.hpp, whose
// coefficients these are, with an error of 3e-8 before rounding.
struct GeluByMillsRatio {
  static constexpr Keep keep = Keep::input;
  static __device__ __forceinline__ void normal(float x, float& distribution, float& density) {
    const float size = std::abs(x), within = size > 20.0f ? 20.0f : size;  // φ is 0 there; squares stay finite, NaN stays NaN
    density = 0.398942280f * std::exp(within * within * -0.5f);
    const float t = __fdividef(1.0f, size * 0.35f + 1.0f);
    float r = -0.0729651765f;
    r = r * t + 0.360423166f;
    r = r * t - 0.640009605f;
    r = r * t + 0.397855987f;
    r = r * t - 0.0571271764f;
    r = r * t + 0.264121086f;
    r = r * t + 0.300467327f;
    r = r * t + 0.350568759f;
    r = r * t + 0.34997973f;
    const float tail = r * t * density;
    distribution = x < 0 ? tail : 1.0f - tail;
  }
  static __device__ __forceinline__ float value(float x, ConstantsOf<float>) {
    float distribution, density;
    normal(x, distribution, density);
    return x * distribution;
  }
  static __device__ __forceinline__ float gradient(float x, float dy, ConstantsOf<float>) {
    float distribution, density;
    normal(x, distribution, density);
    return dy * (distribution + x * density);
  }
};
template <class F> struct Chosen { using type = F; };
template <> struct Chosen<functions::Gelu> { using type = GeluByMillsRatio; };

// --- one tensor ------------------------------------------------------------------------------------------------------
template <class F, class S, int lanes>
__global__ void __launch_bounds__(threads)
    unary_value_kernel(std::int64_t n, const S* __restrict__ x, S* __restrict__ y, ConstantsOf<float> c) {
  for_each_vector<lanes>(n, [=](std::int64_t i, auto width) {
    float v[decltype(width)::value];
    load(x + i, v);
    for (float& each : v) each = F::value(each, c);
    store(y + i, v);
  });
}
template <class F, class S, int lanes>
__global__ void __launch_bounds__(threads)
    unary_gradient_kernel(std::int64_t n, const S* __restrict__ kept, const S* __restrict__ dy, S* __restrict__ dx,
                          ConstantsOf<float> c) {
  for_each_vector<lanes>(n, [=](std::int64_t i, auto width) {
    constexpr int count = decltype(width)::value;
    float k[count] = {}, v[count];
    if constexpr (F::keep != Keep::nothing) load(kept + i, k);
    load(dy + i, v);
    for (int l = 0; l < count; ++l) v[l] = F::gradient(k[l], v[l], c);
    store(dx + i, v);
  });
}

template <class F, class S>
struct UnaryLaunch {
  static void value(std::int64_t n, const void* x, void* y, ConstantsOf<float> c) {
    constexpr int lanes = lanes_of<S>;
    const bool wide = aligned(x, 16) && aligned(y, 16);
    launch("unary", wide ? unary_value_kernel<F, S, lanes> : unary_value_kernel<F, S, 1>, blocks(n, wide ? lanes : 1), threads, 0,
           n, static_cast<const S*>(x), static_cast<S*>(y), c);
  }
  static void gradient(std::int64_t n, const void* kept, const void* dy, void* dx, ConstantsOf<float> c) {
    constexpr int lanes = lanes_of<S>;
    const bool wide = aligned(kept, 16) && aligned(dy, 16) && aligned(dx, 16);
    launch("unary", wide ? unary_gradient_kernel<F, S, lanes> : unary_gradient_kernel<F, S, 1>, blocks(n, wide ? lanes : 1),
           threads, 0, n, static_cast<const S*>(kept), static_cast<const S*>(dy), static_cast<S*>(dx), c);
  }
};

using UnaryValue = void (*)(std::int64_t, const void*, void*, ConstantsOf<float>);
using UnaryGradient = void (*)(std::int64_t, const void*, const void*, void*, ConstantsOf<float>);
template <class S, class... F>
UnaryValue value_of(List<F...>, int id) {
  static constexpr UnaryValue all[] = {UnaryLaunch<typename Chosen<F>::type, S>::value...};
  return all[id];
}
template <class S, class... F>
UnaryGradient gradient_of(List<F...>, int id) {
  static constexpr UnaryGradient all[] = {UnaryLaunch<typename Chosen<F>::type, S>::gradient...};
  return all[id];
}

void unary_value(int id, DType type, std::int64_t n, const void* x, void* y, double a, double b) {
  if (type != DType::float32 && type != DType::bfloat16) fail_type("unary", type);
  if (n == 0) return;
  const auto run = type == DType::float32 ? value_of<float>(functions::Unary{}, id) : value_of<Bf16>(functions::Unary{}, id);
  run(n, x, y, constants(a, b));
}
void unary_gradient(int id, DType type, std::int64_t n, const void* kept, const void* dy, void* dx, double a, double b) {
  if (type != DType::float32 && type != DType::bfloat16) fail_type("unary", type);
  if (n == 0) return;
  const auto run =
      type == DType::float32 ? gradient_of<float>(functions::Unary{}, id) : gradient_of<Bf16>(functions::Unary{}, id);
  run(n, kept, dy, dx, constants(a, b));
}

// --- two tensors of one shape ------------------------------------------------------------------------------------------
template <class F, class S, int lanes>
__global__ void __launch_bounds__(threads)
    pair_value_kernel(std::int64_t n, const S* __restrict__ x, const S* __restrict__ t, S* __restrict__ y, ConstantsOf<float> c) {
  for_each_vector<lanes>(n, [=](std::int64_t i, auto width) {
    constexpr int count = decltype(width)::value;
    float v[count], w[count];
    load(x + i, v);
    load(t + i, w);
    for (int l = 0; l < count; ++l) v[l] = F::value(v[l], w[l], c);
    store(y + i, v);
  });
}
template <class F, bool of_target, class S, int lanes>
__global__ void __launch_bounds__(threads)
    pair_gradient_kernel(std::int64_t n, const S* __restrict__ x, const S* __restrict__ t, const S* __restrict__ dy,
                         S* __restrict__ dx, ConstantsOf<float> c) {
  for_each_vector<lanes>(n, [=](std::int64_t i, auto width) {
    constexpr int count = decltype(width)::value;
    float v[count], w[count], d[count];
    load(x + i, v);
    load(t + i, w);
    load(dy + i, d);
    for (int l = 0; l < count; ++l) {
      if constexpr (of_target) d[l] *= F::slope_t(v[l], w[l], c);
      else d[l] *= F::slope_x(v[l], w[l], c);
    }
    store(dx + i, d);
  });
}

template <class F, class S>
struct PairLaunch {
  static void value(std::int64_t n, const void* x, const void* t, void* y, ConstantsOf<float> c) {
    constexpr int lanes = lanes_of<S>;
    const bool wide = aligned(x, 16) && aligned(t, 16) && aligned(y, 16);
    launch("pair", wide ? pair_value_kernel<F, S, lanes> : pair_value_kernel<F, S, 1>, blocks(n, wide ? lanes : 1), threads, 0, n,
           static_cast<const S*>(x), static_cast<const S*>(t), static_cast<S*>(y), c);
  }
  template <bool of_target>
  static void gradient(std::int64_t n, const void* x, const void* t, const void* dy, void* dx, ConstantsOf<float> c) {
    constexpr int lanes = lanes_of<S>;
    const bool wide = aligned(x, 16) && aligned(t, 16) && aligned(dy, 16) && aligned(dx, 16);
    launch("pair", wide ? pair_gradient_kernel<F, of_target, S, lanes> : pair_gradient_kernel<F, of_target, S, 1>,
           blocks(n, wide ? lanes : 1), threads, 0, n, static_cast<const S*>(x), static_cast<const S*>(t),
           static_cast<const S*>(dy), static_cast<S*>(dx), c);
  }
};
using PairValue = void (*)(std::int64_t, const void*, const void*, void*, ConstantsOf<float>);
using PairGradient = void (*)(std::int64_t, const void*, const void*, const void*, void*, ConstantsOf<float>);
template <class S, class... F>
PairValue pair_value_of(List<F...>, int id) {
  static constexpr PairValue all[] = {PairLaunch<F, S>::value...};
  return all[id];
}
template <class S, class... F>
PairGradient pair_gradient_of(List<F...>, int id, int which) {
  static constexpr PairGradient all[][2] = {
      {PairLaunch<F, S>::template gradient<false>, PairLaunch<F, S>::template gradient<true>}...};
  return all[id][which];
}

void pair_value(int id, DType type, std::int64_t n, const void* x, const void* t, void* y, double a, double b) {
  if (type != DType::float32 && type != DType::bfloat16) fail_type("pair", type);
  if (n == 0) return;
  const auto run =
      type == DType::float32 ? pair_value_of<float>(functions::Pair{}, id) : pair_value_of<Bf16>(functions::Pair{}, id);
  run(n, x, t, y, constants(a, b));
}
void pair_gradient(int id, int which, DType type, std::int64_t n, const void* x, const void* t, const void* dy, void* dx,
                   double a, double b) {
  if (type != DType::float32 && type != DType::bfloat16) fail_type("pair", type);
  if (n == 0) return;
  const auto run = type == DType::float32 ? pair_gradient_of<float>(functions::Pair{}, id, which)
                                          : pair_gradient_of<Bf16>(functions::Pair{}, id, which);
  run(n, x, t, dy, dx, constants(a, b));
}

}  // namespace

void install(Elementwise& table) {
  table.unary_value = unary_value;
  table.unary_gradient = unary_gradient;
  table.pair_value = pair_value;
  table.pair_gradient = pair_gradient;
  install_broadcasting(table);
  install_converting(table);
}

}  // namespace sslcake::inline v0::kernels::cuda
