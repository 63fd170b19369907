// What a pretext task is: how the data labels itself, what is predicted, what is minimised.
//
// A task is a class template over its encoder. Three members are required, and a class without them fails to compile
// with one readable line (concept `Task`):
//
//   Views   views() const           how a raw picture becomes a self-labelled sample: one recipe per view, with the
//                                   label that the recipe implies. A value: the loader carries it out for whole batches.
//   Modules modules() const         what is trained, and which part is the encoder that is kept
//   Outcome loss(const Batch&)      what is minimised, with the task's own metrics
//
// The trainer looks for optional members and uses those that it finds:
//
//   void before_epoch(const EpochContext&)   relabel the data, reset a head (DeepCluster, SwAV): by new numbers in the old
//                                            tensors, which the optimisers hold
//   void after_step(const StepContext&)      move averaged copies, queues (MoCo, BYOL, DINO); on a GPU it may be called for
//                                            up to four steps more after one that was not finite, before that is noticed
//   Optimizers optimizers(); Outcome loss(const Batch&, int turn)   several optimisers stepped in turn (a GAN's two)
//   Parameters state()                       tensors besides the modules' that a checkpoint must hold
//   std::map<std::string, std::string> settings() const   what a resume must find unchanged: a temperature, say
//   static constexpr bool couples_batch      false where the loss is a mean over samples that do not see each other;
//                                            only then may a batch be cut into pieces. Default: true, the safe answer.
#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../autograd/parameter.hpp"
#include "../autograd/tape.hpp"
#include "../data/dataset.hpp"
#include "../data/loader.hpp"
#include "../ops/on_device.hpp"
#include "../ops/reduce.hpp"
#include "../optim/optimizer.hpp"

namespace sslcake::inline v0::pretext {

using data::Batch;
using data::Views;

/// A number that a task reports beside its loss. Given as a tensor of one element, it is read when it is needed: where the
/// tensor lies on a GPU, the step need not wait for it.
struct Metric {
  std::string name;
  double value = 0;
  Tensor tensor = {};

  Metric() = default;
  template <class Number>
    requires std::is_arithmetic_v<Number>
  Metric(std::string called, Number number) : name(std::move(called)), value(static_cast<double>(number)) {}
  Metric(std::string called, Tensor one_element) : name(std::move(called)), tensor(std::move(one_element)) {}
};

/// What one evaluation of the loss yields.
struct Outcome {
  Tensor loss;                  // one element
  double chance = 0;            // the loss of blind guessing, to be printed beside it; 0 where there is none
  std::vector<Metric> metrics;
  Tensor embedding;             // (M,D) encoder output, cut off the tape, for the collapse meters; may be undefined
};

/// A trained module, its type erased: the trainer needs its tensors and its mode, not its forward.
struct Part {
  std::string name;
  bool kept = false;  // the encoder: what remains after pretraining
  std::function<Parameters()> state;
  std::function<void(bool)> train;
};
using Modules = std::vector<Part>;

/// Wraps a module handle. M has state() -> Parameters and train(bool).
template <class M>
Part part(std::string name, const M& module, bool kept = false) {
  auto handle = std::make_shared<M>(module);
  return {std::move(name), kept, [handle] { return handle->state(); }, [handle](bool on) { handle->train(on); }};
}

/// All tensors of the parts, names prefixed: "encoder.layer1.0.conv1.weight".
inline Parameters all_state(const Modules& modules) {
  Parameters out;
  for (const auto& m : modules)
    for (auto p : m.state()) {
      p.name = m.name + "." + p.name;
      out.push_back(std::move(p));
    }
  return out;
}

/// Those of them that are trained: what an optimiser gets. Neither buffers nor what is frozen, and shared ones once.
inline Parameters trained_parameters(const Modules& modules) {
  Parameters out = all_state(modules);
  std::erase_if(out, [](const Parameter& p) { return p.buffer || !p.tensor.requires_grad(); });
  return each_once(out);
}

/// Runs `forward` under the name of a part, so that errors say which one it was.
template <class F>
auto in_module(const char* name, F&& forward) {
  const ModuleScope scope(name);
  return forward();
}

/// Share of the rows of logits (N,C) whose largest entry (the first of equals, the first NaN if there is one) is the label's (N):
/// one element, on their device (there float32), so that nobody waits for it.
inline Tensor top1(const Tensor& logits, const Tensor& labels) {
  if (logits.rank() != 2) fail("accuracy", "expected logits (N,C), got ", logits.shape());
  const std::int64_t n = logits.dim(0), classes = logits.dim(1);
  if (labels.dtype() != DType::int64 || labels.numel() != n)
    fail("accuracy", "expected int64 labels (", n, "), got ", labels.dtype(), ' ', labels.shape());
  if (ops::detail::on_cuda("accuracy", logits, labels)) {
    const Tensor scores = logits.to(DType::float32);
    Tensor share(Shape{}, DType::float32, logits.device());
    kernels::cuda::table().losses.top1(n, classes, static_cast<const float*>(scores.address()),
                                       static_cast<const std::int64_t*>(labels.address()),
                                       static_cast<float*>(share.mutable_address()));
    return share;
  }
  const auto named = ops::argmax(logits.detach().to(DType::float64), 1).to_vector<std::int64_t>();
  const auto truth = labels.to_vector<std::int64_t>();
  std::int64_t right = 0;
  for (std::size_t i = 0; i < named.size(); ++i) right += named[i] == truth[i];
  return scalar(n ? static_cast<double>(right) / static_cast<double>(n) : 0, DType::float64);
}
/// The same as a number. On CUDA, reading it waits.
inline double accuracy(const Tensor& logits, const Tensor& labels) { return top1(logits, labels).item(); }

struct EpochContext {
  int epoch = 0, epochs = 0;
  const data::Dataset* dataset = nullptr;  // a task may run over it to relabel it
};
struct StepContext {
  std::int64_t step = 0, steps = 0;  // done so far (this one included), planned
};
using Optimizers = std::vector<optim::Optimizer>;  // handles

template <class T>
concept Task = requires(T& task, const Batch& batch) {
  { task.views() } -> std::convertible_to<Views>;
  { task.modules() } -> std::convertible_to<Modules>;
} && (requires(T& task, const Batch& batch) { { task.loss(batch) } -> std::convertible_to<Outcome>; } ||
      requires(T& task, const Batch& batch) { { task.loss(batch, 0) } -> std::convertible_to<Outcome>; });

template <class T>
concept HasBeforeEpoch = requires(T& task, const EpochContext& c) { task.before_epoch(c); };
template <class T>
concept HasAfterStep = requires(T& task, const StepContext& c) { task.after_step(c); };
template <class T>
concept HasOptimizers = requires(T& task) { { task.optimizers() } -> std::convertible_to<Optimizers>; };
template <class T>
concept HasState = requires(T& task) { { task.state() } -> std::convertible_to<Parameters>; };
template <class T>
concept HasSettings = requires(T& task) { { task.settings() } -> std::convertible_to<std::map<std::string, std::string>>; };

/// Whether a batch of the task must not be cut into pieces.
template <class T>
constexpr bool couples_batch() {
  if constexpr (requires { { T::couples_batch } -> std::convertible_to<bool>; }) return T::couples_batch;
  else return true;
}

}  // namespace sslcake::inline v0::pretext
