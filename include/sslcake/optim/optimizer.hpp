// What all optimisers share: groups of parameters, the learning rate, the state that a checkpoint holds.
//
// An optimiser is a rule that changes a part of one parameter, given its gradient and its state ("slots": momentum and the
// like); the rules are in sgd.hpp, adam.hpp, lars.hpp, muon.hpp, and a rule of one's own is one function:
//
//   optim::Optimizer sign({{parameters}}, {.name = "sign", .lr = 0.01, .update = [](const optim::Update& u) {
//     for (std::int64_t i = 0; i < u.size; ++i) u.weights[i] -= float(u.lr) * (u.grads[i] > 0 ? 1.0f : -1.0f);
//   }});
//
// A step is one pass over the parts of all parameters, on all threads. A rule that needs to know something of the whole
// parameter first (LARS: two norms) has a second function, `measure`, which makes it a pass more; one that sees matrices as
// such (Muon) has a third, `matrix`.
//
// Parameters, gradients and state are float32 whatever the activations are.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../autograd/parameter.hpp"
#include "../io/state.hpp"
#include "../kernels/cuda/optimiser.hpp"

namespace sslcake::inline v0::optim {

/// Parameters that are treated alike.
struct Group {
  Parameters parameters;
  double lr_scale = 1;                   // times the optimiser's learning rate
  std::optional<double> weight_decay{};  // instead of the optimiser's, and of norms and biases too
};
using Groups = std::vector<Group>;

/// What a rule sees of one step: a part of one parameter. Where the parts begin and end depends on its size alone.
struct Update {
  std::int64_t size = 0;          // elements of the part
  std::int64_t rows = 0;          // of a whole parameter (out,in) or (out,KH,KW,in), out > 1, in `matrix`: out; otherwise 0
  float* weights = nullptr;
  const float* grads = nullptr;
  std::array<float*, 2> slots{};  // as many numbers each as weights, zero before the first step
  double lr = 0;                  // the group's scale included
  double weight_decay = 0;
  std::int64_t step = 0;          // 1 at the first update of this parameter
  bool norm_or_bias = false;
  std::array<double, 2> sums{};   // of the whole parameter: what `measure` gave for its parts, added up in order

  /// The same of `count` of its elements, from `begin` on.
  Update part(std::int64_t begin, std::int64_t count) const;
};

struct Rule {
  std::string name;                         // "sgd"
  double lr = 0;
  double weight_decay = 0;
  bool decay_norm_and_bias = true;          // false: weight decay 0 for parameters marked norm_or_bias
  std::vector<std::string> slots{};         // names of the state per parameter, at most two
  std::string settings{};                   // "momentum 0.9", for str()
  std::function<void(const Update&)> update{};  // called from several threads at once, for different parts
  std::function<std::array<double, 2>(const Update&)> measure{};  // optional, before the update: two sums over the part
  std::function<void(const Update&)> matrix{};  // optional, instead of both: for whole parameters with rows, one after the other
  kernels::cuda::OptimiserRule on_cuda{};   // the same rule for parameters on a GPU; none: it has no kernel there
  std::function<void(const Update&, kernels::cuda::OptimiserItem&)> item_on_cuda{};  // its numbers for one parameter
};

/// A handle: copies share the parameters and the state.
class Optimizer {
 public:
  /// Buffers among the parameters are left out. Errors: no parameter, one that is not float32 or given twice, two of
  /// one name, a learning rate or weight decay that is negative or not finite.
  Optimizer(const Groups& groups, Rule rule);

  /// Changes every parameter that has a gradient, by it. On a GPU nothing is changed where `guard`, one int64 there, is
  /// not 0: whoever finds a number that is not finite sets it, and the host need not wait to see it.
  void step(const Tensor& guard = {});
  /// One step less was made than was counted, by every parameter that has made one: a guard kept it from changing anything.
  void forget_step();
  /// Forgets the gradients.
  void zero_grad();

  double lr() const;
  void set_lr(double lr);
  const std::string& name() const;
  /// Name and settings without the learning rate, "sgd, momentum 0.9, weight decay 0.0005, 62 parameters", and the groups
  /// with a scale or decay of their own: two optimisers with the same text can exchange states, and step alike.
  std::string str() const;
  Parameters parameters() const;

  /// The state as tensors: "lr" (float64), "steps" (int64, one per parameter), "layer1.0.conv1.weight.momentum" ...
  /// Handles: writing into them changes the optimiser.
  Parameters state() const;
  /// Copies a state. Tensors that are missing, unexpected or of another shape: one error that lists all, nothing changed.
  void load_state(const StateDict& state);

 private:
  struct Shared;
  void step_on_cuda(const Tensor& guard);
  std::shared_ptr<Shared> shared_;
};

namespace detail {
/// Fails unless low <= value <= high; NaN and infinity fail too. Returns the value.
double checked(const char* where, const char* name, double value, double low, double high);
/// The shortest text that reads back as the same number: for settings, which are compared. (concat rounds to six digits.)
std::string exact(double value);
std::string exact(float value);
}  // namespace detail

}  // namespace sslcake::inline v0::optim

#ifndef SSLCAKE_COMPILED
#include "optimizer_inl.hpp"
#endif
