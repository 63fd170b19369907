// GPU memory for tests of single groups of kernels, on the model or on a real GPU.
#pragma once

#include <cuda_runtime.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "../../include/sslcake/core/dtype.hpp"

namespace sslcake::inline v0::kernels::cuda {
void* allocate(std::size_t bytes);
void deallocate(void* data, std::size_t bytes) noexcept;
cudaStream_t stream();
}  // namespace sslcake::inline v0::kernels::cuda

namespace cuda_test {

/// A group of kernels, as the backend has it.
template <class Group>
const Group& kernels_of() {
  static const Group filled = [] {
    Group g;
    install(g);
    return g;
  }();
  return filled;
}

/// Numbers on the GPU; fresh ones are NaN.
template <class T>
class OnGpu {
 public:
  explicit OnGpu(std::size_t count) : count_(count) {
    const auto bytes = count * sizeof(T);
    data_ = std::shared_ptr<void>(sslcake::kernels::cuda::allocate(bytes),
                                  [bytes](void* p) { sslcake::kernels::cuda::deallocate(p, bytes); });
    cudaMemsetAsync(data_.get(), 0xff, bytes, sslcake::kernels::cuda::stream());
  }
  explicit OnGpu(const std::vector<T>& values) : OnGpu(values.size()) {
    cudaMemcpyAsync(data_.get(), values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice, sslcake::kernels::cuda::stream());
    cudaStreamSynchronize(sslcake::kernels::cuda::stream());
  }
  T* data() const { return static_cast<T*>(data_.get()); }
  std::vector<T> values() const {
    std::vector<T> out(count_);
    cudaMemcpyAsync(out.data(), data_.get(), count_ * sizeof(T), cudaMemcpyDeviceToHost, sslcake::kernels::cuda::stream());
    cudaStreamSynchronize(sslcake::kernels::cuda::stream());
    return out;
  }

 private:
  std::size_t count_;
  std::shared_ptr<void> data_;
};
template <class T>
OnGpu<T> on_gpu(const std::vector<T>& values) {
  return OnGpu<T>(values);
}

inline std::vector<float> normal(std::size_t count, unsigned seed, float mean = 0, float deviation = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> draw(mean, deviation);
  std::vector<float> out(count);
  for (auto& x : out) x = draw(engine);
  return out;
}
inline std::vector<sslcake::bfloat16> rounded(const std::vector<float>& values) {
  std::vector<sslcake::bfloat16> out;
  for (const float x : values) out.emplace_back(x);
  return out;
}
inline std::vector<float> widened(const std::vector<sslcake::bfloat16>& values) {
  std::vector<float> out;
  for (const auto x : values) out.push_back(static_cast<float>(x));
  return out;
}
/// ‖a − b‖ / ‖b‖; NaN where a number is.
template <class A, class B>
double relative_error(const std::vector<A>& a, const std::vector<B>& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    size += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}

}  // namespace cuda_test
