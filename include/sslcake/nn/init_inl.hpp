#pragma once

#include <cmath>

#include "init.hpp"

namespace sslcake::inline v0::nn::init {

inline Random next_random() { return Random(global_seed(), Purpose::init, 0, next_stream(Purpose::init)); }

SSLCAKE_INLINE Tensor uniform(const Shape& shape, double bound) {
  Random random = next_random();
  return random_uniform(shape, random, -bound, bound);
}
SSLCAKE_INLINE Tensor normal(const Shape& shape, double deviation) {
  Random random = next_random();
  return random_normal(shape, random, 0, deviation);
}
SSLCAKE_INLINE Tensor default_uniform(const Shape& shape, std::int64_t fan_in) {
  return uniform(shape, fan_in > 0 ? 1 / std::sqrt(static_cast<double>(fan_in)) : 0);
}
SSLCAKE_INLINE Tensor kaiming_normal_fan_out(const Shape& weight) {
  return normal(weight, std::sqrt(2.0 / static_cast<double>(weight[0] * weight[1] * weight[2])));
}

}  // namespace sslcake::inline v0::nn::init
