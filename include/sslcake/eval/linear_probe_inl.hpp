#pragma once

#include <algorithm>
#include <utility>

#include "../data/dataset.hpp"
#include "../ops/arithmetic.hpp"
#include "../ops/losses.hpp"
#include "../ops/matmul.hpp"
#include "../ops/reduce.hpp"
#include "../ops/shape_ops.hpp"
#include "../optim/adam.hpp"
#include "../optim/schedule.hpp"
#include "feature_matrix.hpp"
#include "knn.hpp"
#include "linear_probe.hpp"

namespace sslcake::inline v0::eval {
namespace detail {

/// 1 / deviation. What is left of a constant column is rounding; it must not be blown up to size 1.
inline double scale_of(double mean, double deviation) {
  return deviation > 1e-6 * std::fabs(mean) && deviation > 0 ? 1 / deviation : 0;
}

/// On CUDA: means and deviations, a number per column, are looked at on the host; the matrices stay where they are.
inline Standardised standardise_on_cuda(const Tensor& train, const Tensor& test) {
  const NoGrad no_grad;
  const Tensor mean = ops::mean(train, {0}, true), variance = ops::variance(train, {0}, true, 0);
  const auto means = mean.to_vector<double>();
  auto scales = variance.to_vector<double>();
  for (std::size_t j = 0; j < scales.size(); ++j) scales[j] = scale_of(means[j], std::sqrt(scales[j]));
  const Tensor scale = from_vector(mean.shape(), std::vector<float>(scales.begin(), scales.end())).to(train.device());
  return {(train - mean) * scale, (test - mean) * scale};
}

}  // namespace detail

SSLCAKE_INLINE Standardised standardise(const Tensor& train, const Tensor& test) {
  detail::check_features("standardise", "train features", train);
  detail::check_features("standardise", "test features", test);
  const std::int64_t n = train.dim(0), d = train.dim(1);
  if (test.dim(1) != d) fail("standardise", "expected test features of width ", d, ", got ", test.shape());
  if (ops::detail::on_cuda("standardise", train, test)) return detail::standardise_on_cuda(train, test);
  const float* x = train.data<float>();
  std::vector<double> mean(static_cast<std::size_t>(d)), scale(mean);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < d; ++j) mean[static_cast<std::size_t>(j)] += static_cast<double>(x[i * d + j]);
  for (double& m : mean) m /= static_cast<double>(n);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < d; ++j) {
      const double distance = static_cast<double>(x[i * d + j]) - mean[static_cast<std::size_t>(j)];
      scale[static_cast<std::size_t>(j)] += distance * distance;
    }
  for (std::size_t j = 0; j < scale.size(); ++j)
    scale[j] = detail::scale_of(mean[j], std::sqrt(scale[j] / static_cast<double>(n)));
  const auto apply = [&](const Tensor& from) {
    Tensor to(from.shape(), DType::float32);
    const float* p = from.data<float>();
    float* q = to.mutable_data<float>();
    parallel_for(from.dim(0), 256, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i)
        for (std::int64_t j = 0; j < d; ++j) {
          const auto c = static_cast<std::size_t>(j);
          q[i * d + j] = static_cast<float>((static_cast<double>(p[i * d + j]) - mean[c]) * scale[c]);
        }
    });
    return to;
  };
  return {apply(train), apply(test)};
}

SSLCAKE_INLINE ProbeResult linear_probe(const Tensor& train, const Tensor& train_labels, const Tensor& test,
                                        const Tensor& test_labels, const ProbeOptions& options) {
  const auto [x, x_test] = standardise(train, test);
  const std::int64_t n = x.dim(0), d = x.dim(1);
  const std::int64_t batch = std::min(options.batch, std::max<std::int64_t>(1, n / 10));
  detail::check_labels("linear_probe", "train labels", train_labels, n);
  detail::check_labels("linear_probe", "test labels", test_labels, x_test.dim(0));
  if (options.epochs < 1 || batch < 1)
    fail("linear_probe", "expected epochs and batch >= 1, got ", options.epochs, " and ", options.batch);
  const auto labels = train_labels.to_vector<std::int64_t>();
  const std::int64_t classes = *std::max_element(labels.begin(), labels.end()) + 1;
  if (classes > 100000) fail("linear_probe", "expected labels that count classes from 0, got ", classes - 1);

  const Device device = x.device();
  const Tensor truth = train_labels.to(device);
  Tensor weight = zeros({classes, d}, DType::float32, device), bias = zeros({classes}, DType::float32, device);
  weight.set_requires_grad();
  bias.set_requires_grad();
  optim::Adam adam({{"weight", weight}, {"bias", bias}}, {.lr = options.lr, .weight_decay = options.weight_decay});
  const optim::Schedule cosine{};
  const std::int64_t per_epoch = n / batch, steps = per_epoch * options.epochs;
  for (std::int64_t step = 0; step < steps;) {
    const Tensor order =
        from_vector({n}, data::permutation(n, options.seed, static_cast<std::uint64_t>(step / per_epoch), Purpose::evaluate))
            .to(device);
    for (std::int64_t i = 0; i < per_epoch; ++i, ++step) {
      const Tensor index = order.rows(i * batch, (i + 1) * batch);
      const Tensor logits = ops::linear(ops::index_select(x, index), weight, bias);  // (batch,C)
      adam.zero_grad();
      backward(ops::cross_entropy(logits, ops::index_select(truth, index)));
      adam.set_lr(options.lr * cosine.factor(step, steps));
      adam.step();
    }
  }
  const NoGrad no_grad;
  const auto measure = [&](const Tensor& features, const Tensor& labels_there) {
    return accuracy(ops::argmax(ops::linear(features, weight, bias)), labels_there);
  };
  return {measure(x_test, test_labels), measure(x, train_labels), weight.detach(), bias.detach()};
}

}  // namespace sslcake::inline v0::eval
