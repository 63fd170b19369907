// Module: named parameters, buffers and children, under the dotted names that files and error messages use.
//
// A module is a handle: copies share their numbers, as tensors do; `clone` makes a network of its own. Derived classes
// register what they own and write a `forward` of whatever signature suits them; nothing here is virtual.
//
//   class Classifier : public nn::Module {
//    public:
//     Classifier() : hidden_(add_child("hidden", nn::Linear(784, 64))), out_(add_child("out", nn::Linear(64, 10))) {}
//     Tensor forward(const Tensor& x) const {                    // (N,784) -> (N,10)
//       const ModuleScope scope(name());
//       return out_.forward(ops::relu(hidden_.forward(x)));
//     }
//    private:
//     nn::Linear hidden_, out_;
//   };
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../autograd/parameter.hpp"
#include "../autograd/tape.hpp"
#include "../io/state.hpp"

namespace sslcake::inline v0::nn {

class Module;

namespace detail {
struct ModuleData;
/// While one lives, copying a module on this thread copies its numbers instead of sharing them. Within one scope a
/// module that is reached twice (as a child and as a member) is copied once.
class CloneScope {
 public:
  CloneScope();
  ~CloneScope();
  CloneScope(const CloneScope&) = delete;
  CloneScope& operator=(const CloneScope&) = delete;
  static bool active();
  /// Of what is no module: its copy so far, empty at first.
  static std::shared_ptr<void>& copy_of(const void* original);

 private:
  bool outermost_;
};
}  // namespace detail

class Module {
 public:
  Module();
  Module(const Module& other);  // shares, except within nn::clone
  Module(Module&&) noexcept = default;
  Module& operator=(const Module& other);
  Module& operator=(Module&&) noexcept = default;
  ~Module() = default;

  /// What is trained: own parameters, then the children's, in the order of registration. Of shared ones the first name only,
  /// as PyTorch lists them.
  Parameters parameters() const;
  /// Parameters and buffers: own parameters, own buffers, then the children's, as PyTorch's state_dict() lists them: shared
  /// ones under each of their names.
  Parameters state() const;
  /// Copies tensors by name. Missing, unexpected and differently shaped ones: one error that lists them all, nothing changed.
  void load_state(const StateDict& state) const;

  /// Training mode (the default) or evaluation, for this module and all below it.
  void train(bool on = true) const;
  void eval() const { train(false); }
  bool training() const;
  /// Whether gradients reach the parameters of this module and of those below it (false: frozen).
  void set_requires_grad(bool on) const;

  /// The name that the (last) parent gave, "" at the top. `forward` opens a ModuleScope with it.
  const std::string& name() const;

 protected:
  /// Registers a tensor as a parameter that takes gradients; `tensor(i)` with the returned index gives it back: keep the index,
  /// a clone has a tensor of its own there. Errors: a name
  /// taken; a tensor that others share and that takes no gradient yet (theirs would get none).
  int add_parameter(const std::string& name, Tensor tensor, Layout layout = Layout::plain, bool norm_or_bias = false);
  /// Registers a tensor that is saved but not trained.
  int add_buffer(const std::string& name, Tensor tensor);
  const Tensor& tensor(int index) const;
  /// Registers a child under a name and returns it. Keep the returned handle as a member and call its forward.
  template <class M>
  M add_child(const std::string& name, M child) {
    register_child(name, child);
    return child;
  }

 private:
  void register_child(const std::string& name, const Module& child);
  std::shared_ptr<detail::ModuleData> data_;
  friend struct detail::ModuleData;
};

/// A module of the same numbers that shares none of them. Works for every class whose members are modules and plain
/// values, derived from Module or not; a class that holds its numbers otherwise brings a member `clone() const`.
template <class M>
M clone(const M& module) {
  if constexpr (requires { { module.clone() } -> std::same_as<M>; }) {
    return module.clone();
  } else {
    const detail::CloneScope scope;
    return M(module);
  }
}

}  // namespace sslcake::inline v0::nn

#ifndef SSLCAKE_COMPILED
#include "module_inl.hpp"
#endif
