#pragma once

#include <unordered_map>

#include "module.hpp"

namespace sslcake::inline v0::nn {
namespace detail {

struct ModuleData {
  std::string name;  // the last that a parent gave
  bool training = true;
  Parameters own;  // parameters and buffers, without the path before their names
  std::vector<std::pair<std::string, Module>> children;  // a module may have another name elsewhere

  static ModuleData& of(const Module& m) { return *m.data_; }

  void collect(const std::string& path, bool with_buffers, Parameters& out) const {
    // Two passes: PyTorch lists the parameters of a module before its buffers.
    for (const bool buffers : {false, true}) {
      if (buffers && !with_buffers) break;
      for (auto p : own) {
        if (p.buffer != buffers) continue;
        p.name.insert(0, path);
        out.push_back(std::move(p));
      }
    }
    for (const auto& [child_name, child] : children) of(child).collect(path + child_name + ".", with_buffers, out);
  }
};

/// What the outermost CloneScope of a thread has copied so far.
using Clones = std::unordered_map<const void*, std::shared_ptr<void>>;
inline Clones*& current_clones() {
  static thread_local Clones* clones = nullptr;
  return clones;
}

inline std::shared_ptr<ModuleData> copied(const std::shared_ptr<ModuleData>& original) {
  if (!original) return nullptr;
  if (const auto found = current_clones()->find(original.get()); found != current_clones()->end())
    return std::static_pointer_cast<ModuleData>(found->second);
  auto copy = std::make_shared<ModuleData>(*original);  // the children, being modules, copy themselves the same way
  for (auto& p : copy->own) {
    auto& known = (*current_clones())[p.tensor.numel() > 0 ? p.tensor.address() : &p];  // tied tensors stay tied
    const auto before = std::static_pointer_cast<Tensor>(known);
    if (!before || !(before->shape() == p.tensor.shape())) {
      const auto own = std::make_shared<Tensor>(p.tensor.clone());
      if (p.tensor.requires_grad()) own->set_requires_grad();
      known = own;
    }
    p.tensor = *std::static_pointer_cast<Tensor>(known);
  }
  current_clones()->emplace(original.get(), copy);
  return copy;
}

SSLCAKE_INLINE CloneScope::CloneScope() : outermost_(!current_clones()) {
  if (outermost_) current_clones() = new Clones;
}
SSLCAKE_INLINE CloneScope::~CloneScope() {
  if (!outermost_) return;
  delete current_clones();
  current_clones() = nullptr;
}
SSLCAKE_INLINE bool CloneScope::active() { return current_clones() != nullptr; }
SSLCAKE_INLINE std::shared_ptr<void>& CloneScope::copy_of(const void* original) { return (*current_clones())[original]; }

}  // namespace detail

SSLCAKE_INLINE Module::Module() : data_(std::make_shared<detail::ModuleData>()) {}
SSLCAKE_INLINE Module::Module(const Module& other)
    : data_(detail::CloneScope::active() ? detail::copied(other.data_) : other.data_) {}
SSLCAKE_INLINE Module& Module::operator=(const Module& other) {
  Module copy(other);
  data_ = std::move(copy.data_);
  return *this;
}

SSLCAKE_INLINE Parameters Module::parameters() const {
  Parameters out;
  data_->collect("", false, out);
  return each_once(out);
}
SSLCAKE_INLINE Parameters Module::state() const {
  Parameters out;
  data_->collect("", true, out);
  return out;
}
SSLCAKE_INLINE void Module::load_state(const StateDict& state) const { io::copy_state("load_state", this->state(), state); }

SSLCAKE_INLINE void Module::train(bool on) const {
  data_->training = on;
  for (const auto& [name, child] : data_->children) child.train(on);
}
SSLCAKE_INLINE bool Module::training() const { return data_->training; }
SSLCAKE_INLINE void Module::set_requires_grad(bool on) const {
  for (auto& p : data_->own)
    if (!p.buffer) p.tensor.set_requires_grad(on);
  for (const auto& [name, child] : data_->children) child.set_requires_grad(on);
}
SSLCAKE_INLINE const std::string& Module::name() const { return data_->name; }

SSLCAKE_INLINE int Module::add_parameter(const std::string& name, Tensor tensor, Layout layout, bool norm_or_bias) {
  if (!tensor.requires_grad() && tensor.numel() > 0 && !tensor.sole_owner())
    fail("Module", "expected \"", name,
         "\" to be given away (std::move), copied (clone()), or taking gradients already, got a tensor that another handle "
         "shares, through which no gradient would flow; in forward, tensor(i) is what add_parameter took");
  const int index = add_buffer(name, std::move(tensor));
  Parameter& p = data_->own.back();
  p.layout = layout;
  p.norm_or_bias = norm_or_bias;
  p.buffer = false;
  p.tensor.set_requires_grad();
  return index;
}
SSLCAKE_INLINE int Module::add_buffer(const std::string& name, Tensor tensor) {
  for (const auto& p : data_->own)
    if (p.name == name) fail("Module", "two tensors of one module are named \"", name, "\"");
  Parameter p;
  p.name = name;
  p.tensor = std::move(tensor);
  p.buffer = true;
  data_->own.push_back(std::move(p));
  return static_cast<int>(data_->own.size()) - 1;
}
SSLCAKE_INLINE const Tensor& Module::tensor(int index) const {
  const auto i = static_cast<std::size_t>(index);
  if (index < 0 || i >= data_->own.size())
    fail("Module", "expected a tensor below ", data_->own.size(), ", got ", index,
         "; a layer made without its sizes has none: make it with them");
  return data_->own[i].tensor;
}

SSLCAKE_INLINE void Module::register_child(const std::string& name, const Module& child) {
  if (name.empty() || name.find('.') != std::string::npos)
    fail("Module", "expected a child's name without dots, got \"", name, "\"");
  for (const auto& [taken, c] : data_->children)
    if (taken == name) fail("Module", "two children of one module are named \"", name, "\"");
  child.data_->name = name;
  data_->children.emplace_back(name, child);
}

}  // namespace sslcake::inline v0::nn
