// A product on the GPU beside the same on the CPU; where there is no GPU, an error that says so.
#include <cstdio>

#include <sslcake/kernels/cuda/install.hpp>
#include <sslcake/sslcake.hpp>

int main() {
  namespace ssl = sslcake;
  if (const auto why = ssl::cuda::why_not(); !why.empty()) {
    std::printf("not tried: %s\n", why.c_str());
    const bool named = why.find("driver") != std::string::npos || why.find("GPU") != std::string::npos;
    return named ? 0 : 1;
  }
  const auto a = ssl::full({8, 16}, 0.5), b = ssl::full({16, 4}, 2);
  const auto here = ssl::ops::matmul(a, b).to_vector<float>();
  const auto there = ssl::ops::matmul(a.to(ssl::Device::cuda), b.to(ssl::Device::cuda)).to_vector<float>();
  std::printf("%s\n", ssl::cuda::description().c_str());
  return here == there ? 0 : 1;
}
