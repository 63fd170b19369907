#pragma once

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include "../core/threads.hpp"
#include "tape.hpp"

namespace sslcake::inline v0 {
namespace detail {

struct TapeState {
  bool recording = true;
  bool check_finite = false;
  std::string module;
};
inline TapeState& tape_state() {
  static thread_local TapeState state;
  return state;
}

/// IEEE: all exponent bits set means infinity or NaN.
template <class Word>
bool no_full_exponent(const void* data, std::int64_t n, Word mask) {
  const auto* p = static_cast<const Word*>(data);
  bool ok = true;
  for (std::int64_t i = 0; i < n; ++i) ok &= (p[i] & mask) != mask;
  return ok;
}

/// a += b, for gradients that meet.
inline void add_into(Tensor& a, const Tensor& b) {
  if (a.device() != b.device())
    fail("backward", "two gradients of one tensor lie on different devices, ", a.device(), " and ", b.device());
  if (a.device() != Device::cpu) return functions_of(a.device()).add(a.dtype(), a.numel(), a.mutable_address(), b.address());
  dispatch_floating(a.dtype(), "backward", [&](auto zero) {
    using T = decltype(zero);
    T* p = a.mutable_data<T>();
    const T* q = b.data<T>();
    parallel_for(a.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i)
        p[i] = T(static_cast<compute_t<T>>(p[i]) + static_cast<compute_t<T>>(q[i]));
    });
  });
}

/// The first gradient to arrive is kept as it is; it may be shared (an op may hand one tensor to two inputs), so the
/// second makes a copy unless nobody else holds it.
inline void accumulate(Tensor& sum, Tensor grad) {
  if (!sum.defined()) { sum = std::move(grad); return; }
  if (!sum.sole_owner()) sum = sum.clone();
  add_into(sum, grad);
}

inline std::string where(const autograd::Node& node) {
  return node.module.empty() ? std::string(node.op) : concat(node.op, " in ", node.module);
}

}  // namespace detail

SSLCAKE_INLINE bool grad_enabled() { return detail::tape_state().recording; }
SSLCAKE_INLINE NoGrad::NoGrad() : before_(detail::tape_state().recording) { detail::tape_state().recording = false; }
SSLCAKE_INLINE NoGrad::~NoGrad() { detail::tape_state().recording = before_; }
SSLCAKE_INLINE FiniteCheck::FiniteCheck() : before_(detail::tape_state().check_finite) {
  detail::tape_state().check_finite = true;
}
SSLCAKE_INLINE FiniteCheck::~FiniteCheck() { detail::tape_state().check_finite = before_; }

SSLCAKE_INLINE ModuleScope::ModuleScope(const std::string& name) : length_(detail::tape_state().module.size()) {
  auto& path = detail::tape_state().module;
  if (!name.empty()) {
    if (!path.empty()) path += '.';
    path += name;
  }
}
SSLCAKE_INLINE ModuleScope::~ModuleScope() { detail::tape_state().module.resize(length_); }

SSLCAKE_INLINE bool all_finite(const Tensor& t) {
  if (t.device() != Device::cpu) return t.numel() == 0 || functions_of(t.device()).all_finite(t.dtype(), t.numel(), t.address());
  switch (t.dtype()) {
    case DType::float32: return detail::no_full_exponent<std::uint32_t>(t.raw(), t.numel(), 0x7f800000u);
    case DType::float64: return detail::no_full_exponent<std::uint64_t>(t.raw(), t.numel(), 0x7ff0000000000000u);
    case DType::bfloat16: return detail::no_full_exponent<std::uint16_t>(t.raw(), t.numel(), std::uint16_t{0x7f80});
    default: return true;
  }
}

namespace autograd {

// A graph that was never run backward is freed from its end. Left to the compiler, each node would free the one before
// from within its own destructor, and a deep graph would overflow the stack; so a node's inputs are taken out first.
SSLCAKE_INLINE Node::~Node() {
  std::vector<std::shared_ptr<GradMeta>> pending = std::move(inputs);
  while (!pending.empty()) {
    const auto meta = std::move(pending.back());
    pending.pop_back();
    if (!meta || meta.use_count() > 1 || !meta->node || meta->node.use_count() > 1) continue;
    for (auto& input : meta->node->inputs) pending.push_back(std::move(input));
    meta->node->inputs.clear();
  }
}

inline std::atomic<bool>& recompute_switch() {
  static std::atomic<bool> on = [] {
    const char* wanted = std::getenv("SSLCAKE_RECOMPUTE");
    return !(wanted && std::strcmp(wanted, "0") == 0);
  }();
  return on;
}
SSLCAKE_INLINE bool recompute() { return recompute_switch().load(std::memory_order_relaxed); }
SSLCAKE_INLINE void set_recompute(bool on) { recompute_switch().store(on, std::memory_order_relaxed); }

SSLCAKE_INLINE Saved::Saved(const Tensor& t) {
  const Node* node = t.meta() ? t.meta()->node.get() : nullptr;
  if (node && recompute() && node->recipe_version == t.version()) recipe_ = node->recipe;
  if (recipe_) return;
  tensor_ = t.detach();
  version_ = t.version();
}

SSLCAKE_INLINE const Tensor& Saved::get() const {
  if (recipe_ && !tensor_.defined()) {
    tensor_ = (*recipe_)();
    version_ = tensor_.version();
  }
  if (tensor_.version() != version_)
    fail("backward", "a tensor of shape ", tensor_.shape(),
         " that an op saved for its gradient was changed in place since; clone() it before the change");
  return tensor_;
}

SSLCAKE_INLINE bool Backward::needs(int i) const { return node_.inputs.at(static_cast<std::size_t>(i)) != nullptr; }

SSLCAKE_INLINE void Backward::give(int i, Tensor grad) {
  const auto& meta = node_.inputs.at(static_cast<std::size_t>(i));
  if (!meta || !grad.defined()) return;
  const InputFacts& wanted = node_.facts[static_cast<std::size_t>(i)];
  if (!(grad.shape() == wanted.shape) || grad.dtype() != wanted.dtype)
    fail("backward", "op ", detail::where(node_), " gave input ", i, " a gradient of shape ", grad.shape(), " and type ",
         grad.dtype(), ", expected ", wanted.shape, " and ", wanted.dtype);
  if (detail::tape_state().check_finite && !all_finite(grad))
    fail("backward", "the gradient of input ", i, " of ", detail::where(node_), " is not finite");
  grad.set_meta(nullptr);
  if (meta->node) {
    detail::accumulate(meta->node->grad, std::move(grad));
  } else if (!meta->leaf) {
    return;  // frozen since the forward pass
  } else if (meta->grad.defined() || grad.sole_owner()) {
    detail::accumulate(meta->grad, std::move(grad));
  } else {
    meta->grad = grad.clone();  // a parameter owns its gradient: optimisers and clipping change it in place
  }
}

SSLCAKE_INLINE bool will_record(const std::vector<Tensor>& inputs) {
  if (!detail::tape_state().recording) return false;
  for (const auto& t : inputs)
    if (t.requires_grad()) return true;
  return false;
}

SSLCAKE_INLINE Tensor record(const char* op, const std::vector<Tensor>& inputs, Tensor output, BackwardFn backward) {
  auto& state = detail::tape_state();
  if (state.check_finite && output.defined() && !all_finite(output))
    fail(op, "the first result that is not finite", state.module.empty() ? "" : " came from module ", state.module);
  if (!will_record(inputs)) return output;
  auto node = std::make_shared<Node>();
  node->op = op;
  node->module = state.module;
  for (const auto& t : inputs) {
    node->inputs.push_back(t.requires_grad() ? t.meta() : nullptr);
    node->facts.push_back({t.shape(), t.dtype()});
  }
  node->backward = std::move(backward);
  auto meta = std::make_shared<GradMeta>();
  meta->node = std::move(node);
  output.set_meta(std::move(meta));
  return output;
}

SSLCAKE_INLINE void set_recipe(const Tensor& output, Recipe recipe) {
  if (!output.meta() || !output.meta()->node) return;
  output.meta()->node->recipe = std::make_shared<const Recipe>(std::move(recipe));
  output.meta()->node->recipe_version = output.version();
}

}  // namespace autograd

SSLCAKE_INLINE void backward(const Tensor& output, const Tensor& output_grad) {
  if (!output.requires_grad())
    fail("backward", "expected a tensor that depends on parameters; nothing was recorded (NoGrad, or no input wants gradients)");
  if (!(output.shape() == output_grad.shape()) || output.dtype() != output_grad.dtype())
    fail("backward", "expected a gradient of shape ", output.shape(), " and type ", output.dtype(), ", got ", output_grad.shape(),
         " ", output_grad.dtype());
  if (output.device() != output_grad.device())
    fail("backward", "expected a gradient on ", output.device(), " as the tensor, got one on ", output_grad.device());
  const auto root = output.meta()->node;
  if (!root) {  // a leaf: d x / d x = 1
    detail::accumulate(output.meta()->grad, output_grad.clone());
    return;
  }

  // Post-order depth-first search with its own stack (a recursive one overflows on deep graphs): every node comes
  // after all nodes it depends on, so that walking the order backwards meets a node when its gradient is complete.
  struct Visit {
    std::shared_ptr<autograd::Node> node;
    std::size_t next = 0;
  };
  std::vector<std::shared_ptr<autograd::Node>> order;
  std::unordered_map<const autograd::Node*, bool> seen{{root.get(), true}};
  std::vector<Visit> stack{{root, 0}};
  while (!stack.empty()) {
    Visit& top = stack.back();
    if (top.node->done)
      fail("backward", "the tape behind op ", detail::where(*top.node),
           " was freed by an earlier backward pass; run the forward again");
    if (top.next == top.node->inputs.size()) {
      order.push_back(std::move(top.node));
      stack.pop_back();
      continue;
    }
    const auto& meta = top.node->inputs[top.next++];
    if (meta && meta->node && seen.emplace(meta->node.get(), true).second) stack.push_back({meta->node, 0});
  }

  NoGrad no_grad;
  // Where an op throws, the nodes that were not run must not keep what arrived so far: a later pass would add to it.
  struct Cleared {
    std::vector<std::shared_ptr<autograd::Node>>& nodes;
    ~Cleared() { for (auto& node : nodes) node->grad = Tensor{}; }
  } cleared{order};
  root->grad = output_grad.detach();
  while (!order.empty()) {
    const auto node = std::move(order.back());
    order.pop_back();
    if (node->grad.defined()) {
      autograd::Backward b(*node, std::move(node->grad));
      node->grad = Tensor{};
      node->backward(b);
    }
    node->backward = nullptr;  // frees what it saved
    node->recipe = nullptr;
    node->inputs.clear();
    node->done = true;
  }
}

SSLCAKE_INLINE void backward(const Tensor& loss) {
  if (!loss.defined() || loss.numel() != 1)
    fail("backward", "expected a loss with one element, got shape ", loss.shape(), "; reduce it with mean() or sum()");
  backward(loss, ones(loss.shape(), loss.dtype(), loss.device()));
}

}  // namespace sslcake::inline v0
