// Reverse-mode automatic differentiation by a define-by-run tape (Griewank and Walther, "Evaluating Derivatives").
//
// Every op is one function: it checks its arguments, computes, and hands `record` a lambda that turns the gradient of
// its result into those of its inputs. `backward(loss)` runs the lambdas in reverse topological order.
//
//   Tensor square(const Tensor& x) {
//     Tensor y = ...;                                              // y = x²
//     return autograd::record("square", {x}, y, [sx = autograd::Saved(x)](autograd::Backward& b) {
//       b.give(0, /* 2 x dy */ ... sx.get() ... b.grad() ...);     // dL/dx = 2 x dL/dy
//     });
//   }
//
// First order only: the gradients are plain tensors.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../core/tensor.hpp"

namespace sslcake::inline v0 {

/// Whether ops record what they do (true by default, per thread).
bool grad_enabled();

/// While one lives, nothing is recorded on this thread.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// Computes d loss / d leaf for every leaf that the loss depends on and adds it to the leaf's `grad()`. `loss` must hold
/// one element. The tape is freed on the way: a second backward through it is an error.
void backward(const Tensor& loss);
/// The same for a tensor of any shape, started from the given gradient of its elements.
void backward(const Tensor& output, const Tensor& output_grad);

/// While one lives, every op checks its result, and the backward pass every gradient, for values that are not finite;
/// the first one throws an Error that names op and module. Slow: the trainer replays a failed step under it.
class FiniteCheck {
 public:
  FiniteCheck();
  ~FiniteCheck();
  FiniteCheck(const FiniteCheck&) = delete;
  FiniteCheck& operator=(const FiniteCheck&) = delete;

 private:
  bool before_;
};
/// True if no element is NaN or infinite. Looks at the bits: a user's -ffast-math removes std::isfinite.
bool all_finite(const Tensor& t);

/// Names the module whose forward is running, for error messages: "layer1.0.conv1". Nests.
class ModuleScope {
 public:
  explicit ModuleScope(const std::string& name);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;

 private:
  std::size_t length_;  // of the path before
};

namespace autograd {

/// How to make an op's result a second time, from what is kept anyway: memory for a little time (Chen et al., "Training
/// deep nets with sublinear memory cost", 2016, arXiv 1604.06174).
using Recipe = std::function<Tensor()>;

/// Whether recipes are used (true; SSLCAKE_RECOMPUTE=0 in the environment changes it). The numbers are the same bits.
bool recompute();
void set_recompute(bool on);

/// A tensor kept for the backward pass: its numbers, or its recipe if it has one. Holds no link to the tape (so that
/// nothing is kept alive in a circle) and notices if the numbers were changed in between.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& t);
  const Tensor& get() const;
  bool defined() const { return recipe_ || tensor_.defined(); }

 private:
  mutable Tensor tensor_;
  mutable std::uint32_t version_ = 0;
  std::shared_ptr<const Recipe> recipe_;
};

/// What a backward lambda sees.
class Backward {
 public:
  Backward(Node& node, Tensor grad) : node_(node), grad_(std::move(grad)) {}
  /// Gradient of the loss with respect to the op's result; same shape and type as the result.
  const Tensor& grad() const { return grad_; }
  /// The same, handed over: where the caller then is its sole_owner(), it may be overwritten. grad() is undefined afterwards.
  Tensor take_grad() { return std::move(grad_); }
  /// Whether anyone wants the gradient of input i; where not, it need not be computed.
  bool needs(int i) const;
  /// Hands over the gradient of input i: same shape and type as that input.
  void give(int i, Tensor grad);

 private:
  Node& node_;
  Tensor grad_;
};

using BackwardFn = std::function<void(Backward&)>;

/// What is known of an input besides its place on the tape.
struct InputFacts {
  Shape shape;
  DType dtype;
};

/// One recorded operation.
struct Node {
  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();  // frees the chain of nodes behind it without recursion, however deep it is

  const char* op = "";
  std::string module;                             // path of the module that ran it, "" outside of modules
  std::vector<std::shared_ptr<GradMeta>> inputs;  // null where no gradient is wanted
  std::vector<InputFacts> facts;                  // one for each input
  BackwardFn backward;
  std::shared_ptr<const Recipe> recipe;  // of its result; null where that must be kept
  std::uint32_t recipe_version = 0;      // of the result: the recipe does not know of later changes in place
  Tensor grad;  // accumulates while the backward pass runs
  bool done = false;
};

/// Puts an op on the tape, if any input wants gradients and recording is on. Returns `output`, linked to the tape.
/// `op` must be a string literal.
Tensor record(const char* op, const std::vector<Tensor>& inputs, Tensor output, BackwardFn backward);
/// Gives a recorded result its recipe: those who save it from now on keep that in place of the numbers.
void set_recipe(const Tensor& output, Recipe recipe);
/// Whether `record` would record for these inputs: lets an op skip what only its backward needs.
bool will_record(const std::vector<Tensor>& inputs);

}  // namespace autograd
}  // namespace sslcake::inline v0

#ifndef SSLCAKE_COMPILED
#include "tape_inl.hpp"
#endif
