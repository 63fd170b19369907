// Small parts of the trainer: the sums of a running epoch, what is measured at its end, and a batch in pieces.
#pragma once

#include <algorithm>
#include <exception>
#include <functional>

#include "../eval/collapse.hpp"
#include "../ops/arithmetic.hpp"
#include "../ops/shape_ops.hpp"
#include "../pretext/task.hpp"
#include "checkpoint.hpp"
#include "fit_options.hpp"
#include "metrics_log.hpp"

namespace sslcake::inline v0::train::detail {

/// Sums of the running epoch; part of a checkpoint, so that a resumed epoch reports the mean of all its steps.
struct EpochSums {
  struct Sum {
    std::string name;
    double value = 0;
    std::int64_t count = 0;  // a task need not report a metric in every step
  };
  double loss = 0, chance = 0;
  std::int64_t steps = 0;
  std::vector<Sum> metrics;

  void add_step(double value, double by_chance) {
    loss += value;
    chance = by_chance;
    ++steps;
  }
  void add(const std::vector<pretext::Metric>& found) {
    for (const auto& m : found) {
      auto it = std::find_if(metrics.begin(), metrics.end(), [&](const auto& known) { return known.name == m.name; });
      if (it == metrics.end()) it = metrics.insert(it, {m.name});
      it->value += m.value;
      ++it->count;
    }
  }
  double mean_loss() const { return steps ? loss / static_cast<double>(steps) : 0; }
  std::vector<pretext::Metric> means() const {
    std::vector<pretext::Metric> out;
    for (const auto& m : metrics) out.push_back({m.name, m.value / static_cast<double>(std::max<std::int64_t>(m.count, 1))});
    return out;
  }

  void save(Checkpoint& c) const {
    c.set_real("sum.loss", loss);
    c.set_real("sum.chance", chance);
    c.set("sum.steps", steps);
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      const std::string number = std::to_string(1000 + i);  // of one width: facts are sorted as text
      c.set_real("sum.metric." + number + "." + metrics[i].name, metrics[i].value);
      c.set("sum.count." + number, metrics[i].count);
    }
  }
  void restore(const Checkpoint& c) {
    loss = c.real("sum.loss");
    chance = c.real("sum.chance");
    steps = c.integer("sum.steps");
    for (const auto& [key, value] : c.facts) {
      if (!key.starts_with("sum.metric.")) continue;
      const std::string name = key.substr(11), count = "sum.count." + name.substr(0, 4);
      metrics.push_back({name.substr(5), c.real(key), c.integer(count)});
    }
  }
};

/// Fails where a task has put other tensors into its modules: optimisers and checkpoints hold those of the beginning.
inline void expect_same_tensors(const Parameters& begun, const Parameters& now) {
  const bool same = std::equal(begun.begin(), begun.end(), now.begin(), now.end(), [](const Parameter& a, const Parameter& b) {
    return a.name == b.name && a.tensor.address() == b.tensor.address();
  });
  if (!same)
    fail("fit",
         "expected before_epoch to leave the task its tensors, got other ones in modules(), which no optimiser would train; "
         "to reset a head, copy new numbers into the old one: head.load_state(io::to_state_dict(fresh.state()))");
}

/// How far the embeddings of a batch are spread out; one picture alone, or none, is not.
inline Measurement meters_of(const Tensor& embedding) {
  if (embedding.rank() > 0 && embedding.dim(0) < 2) return {};
  const auto meters = eval::collapse(ops::cast(embedding, DType::float32));
  Measurement found{{{"deviation", meters.deviation}, {"effective_rank", meters.effective_rank}}, {}};
  if (meters.warning) found.warnings.push_back(meters.text);
  return found;
}

/// Keeps the first exception for later.
struct FirstError {
  std::exception_ptr error;

  template <class Body>
  void guard(const Body& body) {
    try {
      body();
    } catch (...) {
      if (!error) error = std::current_exception();
    }
  }
  void rethrow() const {
    if (error) std::rethrow_exception(error);
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
  const NoGrad no_grad;
  EpochSums sums;
  std::vector<pretext::Metric> tensors;  // sums, and in `value` of how many: nobody waits for them
  std::vector<Tensor> embeddings;
  for (const auto& p : pieces) {
    sums.add_step(0, p.chance);
    for (const auto& m : p.metrics) {
      if (!m.tensor.defined()) {
        sums.add({m});
        continue;
      }
      auto it = std::find_if(tensors.begin(), tensors.end(), [&](const auto& known) { return known.name == m.name; });
      if (it == tensors.end()) it = tensors.insert(it, {m.name, m.tensor.detach()});
      else it->tensor = ops::add(it->tensor, m.tensor.detach());
      ++it->value;
    }
    if (p.embedding.defined()) embeddings.push_back(p.embedding.detach());
  }
  auto metrics = sums.means();
  for (const auto& m : tensors) metrics.push_back({m.name, ops::div(m.tensor, m.value)});
  return {Tensor{}, sums.chance, metrics, embeddings.empty() ? Tensor{} : ops::concat(embeddings)};
}

inline bool finite_bits(double value) { return all_finite(scalar(value, DType::float64)); }

/// Loss and gradients of a batch, in as many pieces as asked; `loss` becomes the mean over the pieces. On the CPU it ends with
/// the first piece whose loss is not finite.
inline pretext::Outcome run_pieces(const std::function<pretext::Outcome(const pretext::Batch&, int)>& loss_of,
                                   const pretext::Batch& batch, int turn, std::int64_t pieces, DType precision, Device device,
                                   bool check_names, Tensor& loss) {
  std::vector<pretext::Outcome> outcomes;
  const std::int64_t rows = batch.view(0).dim(0);
  double sum = 0;
  for (std::int64_t i = 0; i < pieces; ++i) {
    pretext::Batch part = pieces == 1 ? batch : piece(batch, rows * i / pieces, rows * (i + 1) / pieces);
    if (part.images.dtype() != precision) part.images = ops::cast(part.images, precision);
    auto& outcome = outcomes.emplace_back(loss_of(part, turn));
    if (check_names) check_metric_names(outcome.metrics);
    if (!outcome.loss.defined()) fail("fit", "expected a loss of one element, got an undefined tensor");
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
