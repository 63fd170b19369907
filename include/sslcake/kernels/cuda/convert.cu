// Filling with one number, and conversion between all types that lie on CUDA, with the bounds of core/dtype.hpp's convert.
#include <cstring>

#include "../../core/error.hpp"
#include "elementwise_parts.hpp"
#include "instructions.cuh"
#include "launch.cuh"
#include "wide.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr int threads = 256;

unsigned blocks(std::int64_t n, int lanes) { return striding_blocks(blocks_for(n, lanes), threads); }

template <class Word, int lanes>
__global__ void __launch_bounds__(threads) fill_kernel(std::int64_t n, Word* y, Word word, uint4 words) {
  for_each_vector<lanes>(n, [=](std::int64_t i, auto width) {
    if constexpr (decltype(width)::value > 1) *reinterpret_cast<uint4*>(y + i) = words;
    else y[i] = word;
  });
}
template <class T>
void fill_as(std::int64_t n, void* y, T value) {
  constexpr int lanes = lanes_of<T>;
  uint4 words{};
  for (int l = 0; l < lanes; ++l)
    std::memcpy(reinterpret_cast<char*>(&words) + l * static_cast<int>(sizeof(T)), &value, sizeof(T));
  const bool wide = aligned(y, 16);
  launch("fill", wide ? fill_kernel<T, lanes> : fill_kernel<T, 1>, blocks(n, wide ? lanes : 1), threads, 0, n, static_cast<T*>(y),
         value, words);
}
void fill(DType type, std::int64_t n, void* y, double value) {
  if (n == 0) return;
  dispatch_all(type, [&](auto zero) {
    using T = decltype(zero);
    const T converted = sslcake::detail::convert<T>(value);
    const unsigned char none[sizeof(T)] = {};
    if (std::memcmp(&converted, none, sizeof(T)) == 0) {
      check(cudaMemsetAsync(y, 0, static_cast<std::size_t>(n) * sizeof(T), stream()), "fill");
    } else if constexpr (sizeof(T) == 2) {
      fill_as<std::uint16_t>(n, y, converted.bits);
    } else {
      fill_as<T>(n, y, converted);
    }
  });
}

template <class To, class From>
__device__ __forceinline__ To converted(From v) {
  if constexpr (std::is_same_v<From, Bf16>) {
    return converted<To>(widen(v));
  } else if constexpr (std::is_same_v<To, Bf16>) {
    return narrow<Bf16>(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, bool>) {
    return v != From(0);
  } else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, std::int64_t>) {
    return v != v          ? 0
           : v <= -0x1p63f ? -0x7fffffffffffffff - 1
           : v >= 0x1p63f  ? 0x7fffffffffffffff
                           : static_cast<std::int64_t>(v);
  } else if constexpr (std::is_same_v<To, std::uint8_t> && !std::is_same_v<From, bool>) {
    return !(v > From(0)) ? std::uint8_t{0} : v >= From(255) ? std::uint8_t{255} : static_cast<std::uint8_t>(v);
  } else {
    return static_cast<To>(v);
  }
}

template <class T, int count>
struct alignas(count * sizeof(T) < 16 ? count * sizeof(T) : 16) Several {
  T each[count];
};
template <class From, class To, int lanes>
__global__ void __launch_bounds__(threads) convert_kernel(std::int64_t n, const From* __restrict__ x, To* __restrict__ y) {
  for_each_vector<lanes>(n, [=](std::int64_t i, auto width) {
    constexpr int count = decltype(width)::value;
    if constexpr (!std::is_integral_v<From> && !std::is_integral_v<To>) {
      float v[count];
      load(x + i, v);
      store(y + i, v);
    } else {
      const auto in = *reinterpret_cast<const Several<From, count>*>(x + i);
      Several<To, count> out;
      for (int l = 0; l < count; ++l) out.each[l] = converted<To>(in.each[l]);
      *reinterpret_cast<Several<To, count>*>(y + i) = out;
    }
  });
}

template <class T> struct DeviceType { using type = T; };
template <> struct DeviceType<bfloat16> { using type = Bf16; };

void convert(DType from_type, const void* from, DType to_type, void* to, std::int64_t n) {
  if (from_type == DType::float64 || to_type == DType::float64)
    fail("cast", "float64 is not on cuda; convert before the tensor is moved there");
  if (n == 0) return;
  if (from_type == to_type) {
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(n) * size_of(from_type), cudaMemcpyDeviceToDevice, stream()),
          "cast");
    return;
  }
  dispatch_all(from_type, [&](auto zero_from) {
    dispatch_all(to_type, [&](auto zero_to) {
      using From = typename DeviceType<decltype(zero_from)>::type;
      using To = typename DeviceType<decltype(zero_to)>::type;
      if constexpr (!std::is_same_v<From, To> && !std::is_same_v<From, double> && !std::is_same_v<To, double>) {
        const bool wide = aligned(from, 16) && aligned(to, 16);
        launch("cast", wide ? convert_kernel<From, To, 8> : convert_kernel<From, To, 1>, blocks(n, wide ? 8 : 1), threads, 0, n,
               static_cast<const From*>(from), static_cast<To*>(to));
      }
    });
  });
}

}  // namespace

void install_converting(Elementwise& table) {
  table.fill = fill;
  table.convert = convert;
}

}  // namespace sslcake::inline v0::kernels::cuda
