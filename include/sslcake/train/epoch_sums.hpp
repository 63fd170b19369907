// Small parts of the trainer: the sums of a running epoch, and a batch in pieces.
#pragma once

#include <algorithm>
#include <functional>

#include "../ops/arithmetic.hpp"
#include "../ops/shape_ops.hpp"
#include "../pretext/task.hpp"
#include "checkpoint.hpp"
#include "metrics_log.hpp"

namespace sslcake::inline v0::train::detail {

/// Sums of the running epoch; part of a checkpoint, so that a resumed epoch reports the mean of all its steps.
struct EpochSums {
  double loss = 0, chance = 0;
  std::int64_t steps = 0;
  std::vector<pretext::Metric> metrics;

  void add(const std::vector<pretext::Metric>& found, double value, double by_chance) {
    loss += value;
    chance = by_chance;
    ++steps;
    for (const auto& m : found) {
      const auto it = std::find_if(metrics.begin(), metrics.end(), [&](const auto& known) { return known.name == m.name; });
      if (it == metrics.end()) metrics.push_back(m);
      else it->value += m.value;
    }
  }
  double mean_loss() const { return steps ? loss / static_cast<double>(steps) : 0; }
  std::vector<pretext::Metric> means() const {
    auto out = metrics;
    for (auto& m : out) m.value /= static_cast<double>(std::max<std::int64_t>(steps, 1));
    return out;
  }

  void save(Checkpoint& c) const {
    c.set_real("sum.loss", loss);
    c.set_real("sum.chance", chance);
    c.set("sum.steps", steps);
    for (const auto& m : metrics) c.set_real("sum.metric." + m.name, m.value);
  }
  void restore(const Checkpoint& c) {
    loss = c.real("sum.loss");
    chance = c.real("sum.chance");
    steps = c.integer("sum.steps");
    for (const auto& [key, value] : c.facts)
      if (key.starts_with("sum.metric.")) metrics.push_back({key.substr(11), c.real(key)});
  }
};

/// Samples [begin, end) of every view, as a batch of their own.
inline pretext::Batch piece(const pretext::Batch& batch, std::int64_t begin, std::int64_t end) {
  const std::int64_t views = batch.views, n = batch.view(0).dim(0), m = end - begin;
  const auto cut = [&](const Tensor& all) {  // (V·N,...) -> (V·m,...)
    if (!all.defined()) return Tensor{};
    Shape shape = all.shape();
    shape[0] = views * m;
    Tensor out(shape, all.dtype(), all.device());
    for (std::int64_t v = 0; v < views; ++v) {
      Tensor target = out.rows(v * m, (v + 1) * m);
      copy_into(target, all.rows(v * n + begin, v * n + end));
    }
    return out;
  };
  pretext::Batch part;
  part.images = cut(batch.images);
  part.view_labels = cut(batch.view_labels);
  if (batch.labels.defined()) part.labels = batch.labels.rows(begin, end);
  part.indices.assign(batch.indices.begin() + begin, batch.indices.begin() + end);
  part.views = batch.views;
  part.epoch = batch.epoch;
  part.number = batch.number;
  return part;
}

/// What the pieces of a batch, which are of one size, tell together: the means of the metrics, all embeddings.
inline pretext::Outcome join(const std::vector<pretext::Outcome>& pieces) {
  if (pieces.size() == 1) return pieces[0];
  EpochSums sums;
  std::vector<Tensor> embeddings;
  for (const auto& p : pieces) {
    auto metrics = p.metrics;
    for (auto& m : metrics)
      if (m.tensor.defined()) m = {m.name, m.tensor.item()};
    sums.add(metrics, 0, p.chance);
    if (p.embedding.defined()) embeddings.push_back(p.embedding.detach());
  }
  return {Tensor{}, sums.chance, sums.means(), embeddings.empty() ? Tensor{} : ops::concat(embeddings)};
}

inline bool finite_bits(double value) { return all_finite(scalar(value, DType::float64)); }

/// Loss and gradients of a batch, in as many pieces as asked; `loss` becomes the mean over the pieces. On the CPU it ends with
/// the first piece whose loss is not finite.
inline pretext::Outcome run_pieces(const std::function<pretext::Outcome(const pretext::Batch&, int)>& loss_of, const pretext::Batch& batch,
                                   int turn, std::int64_t pieces, DType precision, Device device, bool check_names, Tensor& loss) {
  std::vector<pretext::Outcome> outcomes;
  const std::int64_t rows = batch.view(0).dim(0);
  double sum = 0;
  for (std::int64_t i = 0; i < pieces; ++i) {
    pretext::Batch part = pieces == 1 ? batch : piece(batch, rows * i / pieces, rows * (i + 1) / pieces);
    if (part.images.dtype() != precision) part.images = ops::cast(part.images, precision);
    auto& outcome = outcomes.emplace_back(loss_of(part, turn));
    if (check_names) check_metric_names(outcome.metrics);
    if (outcome.loss.numel() != 1) fail("fit", "expected a loss of one element, got shape ", outcome.loss.shape());
    if (device == Device::cpu) {
      const double value = outcome.loss.item();
      sum += value / static_cast<double>(pieces);
      loss = scalar(sum, DType::float64);
      if (!finite_bits(value)) break;  // no need to spread it
    } else {
      const NoGrad no_grad;
      const Tensor share = ops::div(outcome.loss.detach().alias({}).to(DType::float32), static_cast<double>(pieces));
      loss = loss.defined() ? ops::add(loss, share) : share;
    }
    backward(outcome.loss, full(outcome.loss.shape(), 1.0 / static_cast<double>(pieces), outcome.loss.dtype(), device));
    outcome.loss = Tensor{};  // frees the tape
  }
  return join(outcomes);
}

}  // namespace sslcake::inline v0::train::detail
