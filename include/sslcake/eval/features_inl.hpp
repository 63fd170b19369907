#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "../autograd/tape.hpp"
#include "../core/threads.hpp"
#include "../data/loader.hpp"
#include "../ops/pool.hpp"
#include "features.hpp"

namespace sslcake::inline v0::eval {
namespace detail {

/// A matrix that grows batch by batch; its width is that of the first batch.
class Rows {
 public:
  void append(const Tensor& rows, std::int64_t expected) {
    if (rows.rank() != 2) fail("extract", "expected features of shape (N,D), got ", rows.shape());
    if (!all_.defined()) all_ = Tensor({expected, rows.dim(1)}, DType::float32, rows.device());
    Tensor place = all_.rows(used_, used_ + rows.dim(0));
    copy_into(place, rows);
    used_ += rows.dim(0);
  }
  Tensor take() const { return all_.rows(0, used_); }

 private:
  Tensor all_;
  std::int64_t used_ = 0;
};

}  // namespace detail

SSLCAKE_INLINE FeatureSet extract_with(const std::function<nn::Features(const Tensor&)>& forward, const data::DatasetPtr& dataset,
                                       const augment::Recipe& recipe, const ExtractOptions& options, Device device) {
  if (!dataset || dataset->size() < 1) fail("extract", "expected a data set with at least one picture");
  if (options.batch < 1) fail("extract", "expected batch >= 1, got ", options.batch);
  const NoGrad no_grad;
  FeatureSet set;
  std::vector<std::int64_t> labels;
  detail::Rows features;
  std::vector<detail::Rows> stages;
  auto loader = data::in_order(dataset, recipe, options.batch, device, options.precision);
  for (data::Batch batch; loader.next(batch);) {
    if (batch.size() == 0) continue;  // every picture of it was unreadable
    const nn::Features found = forward(batch.images);
    features.append(found.pooled, dataset->size());
    if (options.stages) {
      stages.resize(found.stages.size());
      for (std::size_t s = 0; s < stages.size(); ++s) stages[s].append(ops::global_avg_pool(found.stages[s]), dataset->size());
    }
    for (const auto i : batch.indices) labels.push_back(dataset->label(i));
    set.indices.insert(set.indices.end(), batch.indices.begin(), batch.indices.end());
  }
  if (set.indices.empty()) fail("extract", "none of the ", dataset->size(), " pictures could be read");
  set.features = features.take();
  for (const auto& s : stages) set.stages.push_back(s.take());
  set.labels = from_vector({static_cast<std::int64_t>(labels.size())}, labels);
  return set;
}

SSLCAKE_INLINE PixelSets pixels(const data::DatasetPtr& train, const data::DatasetPtr& test, int size, Device device) {
  const auto flatten = [](const Tensor& images) {
    return nn::Features{{}, images.alias({images.dim(0), images.numel() / images.dim(0)})};
  };
  const auto recipe = augment::evaluation(size, {.mean = {0, 0, 0}, .deviation = {1, 1, 1}});
  PixelSets sets{extract_with(flatten, train, recipe), extract_with(flatten, test, recipe)};

  // Sums of each row first, then of the rows in order: the same bits for any number of threads.
  const std::int64_t n = sets.train.features.dim(0), numbers = sets.train.features.dim(1);
  const auto channel_means = [&](const double* shift, int power) {
    std::vector<double> rows(static_cast<std::size_t>(3 * n));
    const float* x = sets.train.features.data<float>();
    parallel_for(n, 64, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i)
        for (std::int64_t j = 0; j < numbers; ++j) {
          const double v = static_cast<double>(x[i * numbers + j]) - shift[j % 3];
          rows[static_cast<std::size_t>(3 * i + j % 3)] += power == 1 ? v : v * v;
        }
    });
    std::array<double, 3> means{};
    for (std::size_t i = 0; i < rows.size(); ++i) means[i % 3] += rows[i] / static_cast<double>(n * numbers / 3);
    return means;
  };
  const double zero[3] = {};
  const auto mean = channel_means(zero, 1), variance = channel_means(mean.data(), 2);
  for (Tensor* features : {&sets.train.features, &sets.test.features}) {
    float* x = features->mutable_data<float>();
    parallel_for(features->dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin * numbers; i < end * numbers; ++i) {
        const auto c = static_cast<std::size_t>(i % 3);  // a picture's numbers are a multiple of 3
        x[i] = static_cast<float>((static_cast<double>(x[i]) - mean[c]) / std::sqrt(std::max(variance[c], 1e-12)));
      }
    });
    *features = features->to(device);
  }
  return sets;
}

}  // namespace sslcake::inline v0::eval
