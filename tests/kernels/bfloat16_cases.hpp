// What the tests of bfloat16 convolutions share: operands that bfloat16 holds exactly, results in float64, and the error that is
// allowed.
#pragma once

#include <sslcake/core/error.hpp>
#include <sslcake/kernels/conv2d.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "variants.hpp"

namespace test {

using sslcake::bfloat16;
namespace kernels = sslcake::kernels;

/// The kernels of AMX on a portable model of its tiles (tile_model.hpp); its other entries are the portable variant's.
const Variant& amx_on_model();

inline std::string described(const ConvShape& s) {
  return sslcake::concat("n ", s.n, " h ", s.h, " w ", s.w, " c ", s.c, " o ", s.o, " kernel ", s.kh, 'x', s.kw) +
         sslcake::concat(" stride ", s.stride_h, ',', s.stride_w, " pad ", s.pad_h, ',', s.pad_w) +
         sslcake::concat(" dilation ", s.dilation_h, ',', s.dilation_w, " groups ", s.groups);
}

template <class T>
std::vector<bfloat16> rounded(const std::vector<T>& values) {
  std::vector<bfloat16> out;
  for (const T v : values) out.push_back(bfloat16(static_cast<float>(v)));
  return out;
}
inline std::vector<double> widened(const std::vector<bfloat16>& values) {
  std::vector<double> out;
  for (const bfloat16 v : values) out.push_back(static_cast<double>(static_cast<float>(v)));
  return out;
}
inline std::vector<double> absolute(std::vector<double> values) {
  for (double& v : values) v = std::abs(v);
  return values;
}

/// x, w and dy, all of them numbers that bfloat16 holds exactly.
struct Operands {
  std::vector<bfloat16> x, dy;
  std::vector<float> w;
  Operands(sslcake::Random& random, const ConvShape& s, bool integers) {
    const auto values = integers ? test::integers : test::reals;
    x = rounded(values(random, s.n * s.h * s.w * s.c));
    dy = rounded(values(random, s.n * s.oh() * s.ow() * s.o));
    for (const bfloat16 v : rounded(values(random, s.o * s.taps() * s.group_c()))) w.push_back(static_cast<float>(v));
  }
};

struct Results {
  std::vector<double> y, dx, dw;
};
inline Results exact(const ConvShape& s, const std::vector<double>& x, const std::vector<double>& w,
                     const std::vector<double>& dy) {
  Results r{std::vector<double>(dy.size()), std::vector<double>(x.size()), std::vector<double>(w.size())};
  kernels::conv2d_forward(s, x.data(), w.data(), r.y.data());
  kernels::conv2d_input_grad(s, dy.data(), w.data(), r.dx.data());
  kernels::conv2d_weight_grad(s, x.data(), dy.data(), r.dw.data());
  return r;
}

/// By how much |got - wanted| exceeds one rounding to bfloat16 and float32's rounding of the products (`size`).
inline double excess(const std::vector<double>& got, const std::vector<double>& wanted, const std::vector<double>& size,
                     bool half) {
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double over = std::abs(got[i] - wanted[i]) - (half ? std::abs(wanted[i]) / 256 : 0.0) - 2e-6 * size[i];
    worst = worse(worst, over);
  }
  return worst;
}

}  // namespace test
