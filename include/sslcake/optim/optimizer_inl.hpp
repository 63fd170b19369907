#pragma once

#include <algorithm>
#include <charconv>
#include <set>

#include "../autograd/tape.hpp"
#include "../kernels/cuda/table.hpp"
#include "optimizer.hpp"
#include "parts.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE double detail::checked(const char* where, const char* name, double value, double low, double high) {
  // The bits are looked at first: with -ffast-math every comparison with NaN may come out true.
  if (!all_finite(scalar(value, DType::float64)) || !(value >= low) || !(value <= high))
    fail(where, "expected ", name, " from ", low, " to ", high, ", got ", value);
  return value;
}

SSLCAKE_INLINE std::string detail::exact(double value) {
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::general).ptr};
}
SSLCAKE_INLINE std::string detail::exact(float value) {
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::general).ptr};
}

struct Optimizer::Shared {
  struct Entry {
    Parameter parameter;
    double lr_scale = 1, weight_decay = 0;
    std::vector<Tensor> slots;
  };
  Rule rule;
  std::vector<Entry> entries;
  std::string groups;  // what str() says of those that differ
  Tensor lr, steps;
  detail::Parts parts;  // of all entries, in order
};

SSLCAKE_INLINE Optimizer::Optimizer(const Groups& groups, Rule rule) : shared_(std::make_shared<Shared>()) {
  const std::string where = rule.name;
  const double most = 1e30;  // every larger number is a mistake, and float would make it infinite
  if (!rule.update) fail(where, "expected a rule with an update");
  if (rule.slots.size() > 2) fail(where, "expected at most two slots, got ", rule.slots.size());
  detail::checked(where.c_str(), "weight decay", rule.weight_decay, 0, most);
  std::set<std::string> names;
  std::set<const void*> numbers;
  for (const auto& group : groups) {
    detail::checked(where.c_str(), "lr_scale", group.lr_scale, 0, most);
    const double decay = detail::checked(where.c_str(), "weight decay", group.weight_decay.value_or(rule.weight_decay), 0, most);
    const auto before = shared_->entries.size();
    for (const auto& p : group.parameters) {
      if (p.buffer) continue;
      if (!p.tensor.defined() || p.tensor.dtype() != DType::float32)
        fail(where, "expected float32 parameters, got ", p.name, " of type ", p.tensor.dtype());
      if (!p.tensor.requires_grad())
        fail(where, "parameter ", p.name, " takes no gradient; leave it out, or call set_requires_grad()");
      if (!names.insert(p.name).second)
        fail(where, "two parameters are named ", p.name, "; put a prefix before the names of one module");
      if (p.tensor.numel() > 0 && !numbers.insert(p.tensor.address()).second)
        fail(where, "parameter ", p.name, " was given twice");
      Shared::Entry entry{
          p, group.lr_scale, p.norm_or_bias && !rule.decay_norm_and_bias && !group.weight_decay ? 0.0 : decay, {}};
      for (std::size_t i = 0; i < rule.slots.size(); ++i) entry.slots.push_back(zeros_like(p.tensor));
      shared_->entries.push_back(std::move(entry));
    }
    const auto count = shared_->entries.size() - before;
    if (count == 0 || (group.lr_scale == 1 && !group.weight_decay)) continue;
    shared_->groups += concat("; ", count, " from ", shared_->entries[before].parameter.name, " on: rate times ",
                              detail::exact(group.lr_scale), ", weight decay ", detail::exact(decay));
  }
  if (shared_->entries.empty()) fail(where, "expected at least one parameter, got none");
  shared_->steps = zeros({static_cast<std::int64_t>(shared_->entries.size())}, DType::int64);
  shared_->lr = scalar(detail::checked(where.c_str(), "lr", rule.lr, 0, most), DType::float64);
  shared_->rule = std::move(rule);
  std::vector<std::int64_t> sizes;
  for (const auto& e : shared_->entries) sizes.push_back(e.parameter.tensor.numel());
  shared_->parts = detail::cut(sizes);
}

SSLCAKE_INLINE Update Update::part(std::int64_t begin, std::int64_t count) const {
  Update u = *this;
  u.size = count;
  u.rows = 0;
  u.weights += begin;
  u.grads += begin;
  for (float*& slot : u.slots)
    if (slot) slot += begin;
  return u;
}

SSLCAKE_INLINE void Optimizer::step_on_cuda(const Tensor& guard) {
  Shared& s = *shared_;
  if (s.rule.on_cuda.kind == kernels::cuda::OptimiserRule::Kind::none)
    fail(name(), "this rule has no kernel on cuda; train on the CPU, or by sgd, adam, adamw or lars");
  const double lr = s.lr.data<double>()[0];
  std::int64_t* steps = s.steps.mutable_data<std::int64_t>();
  std::vector<kernels::cuda::OptimiserItem> items;
  for (std::size_t i = 0; i < s.entries.size(); ++i) {
    auto& e = s.entries[i];
    const Tensor grad = e.parameter.tensor.grad();
    if (!grad.defined()) continue;
    const auto step_number = ++steps[i];
    if (grad.numel() == 0) continue;
    if (e.parameter.tensor.device() != Device::cuda || grad.device() != Device::cuda)
      fail(name(), "expected all parameters and gradients on one device, got ", e.parameter.name, " on ",
           e.parameter.tensor.device(), " and its gradient on ", grad.device());
    Update u;
    u.size = grad.numel();
    u.lr = lr * e.lr_scale;
    u.weight_decay = e.weight_decay;
    u.step = step_number;
    u.norm_or_bias = e.parameter.norm_or_bias;
    auto& item = items.emplace_back();
    item.weights = static_cast<float*>(e.parameter.tensor.mutable_address());
    item.grads = static_cast<const float*>(grad.address());
    item.size = u.size;
    for (std::size_t k = 0; k < e.slots.size(); ++k) {
      e.slots[k].move_to(Device::cuda);  // where the parameters were moved after the optimiser was made
      item.slots[k] = static_cast<float*>(e.slots[k].mutable_address());
    }
    s.rule.item_on_cuda(u, item);
  }
  kernels::cuda::table().optimiser.step(s.rule.on_cuda, items.data(), static_cast<int>(items.size()),
                                        static_cast<const std::int64_t*>(guard.address()));
}

SSLCAKE_INLINE void Optimizer::step(const Tensor& guard) {
  Shared& s = *shared_;
  if (s.entries[0].parameter.tensor.device() == Device::cuda) return step_on_cuda(guard);
  const double lr = s.lr.data<double>()[0];
  std::int64_t* steps = s.steps.mutable_data<std::int64_t>();
  std::vector<Update> updates(s.entries.size());  // of whole parameters; those without gradient have no weights
  for (std::size_t i = 0; i < s.entries.size(); ++i) {
    auto& e = s.entries[i];
    const Tensor grad = e.parameter.tensor.grad();
    if (!grad.defined()) continue;
    Update& u = updates[i];
    u.size = grad.numel();
    const Shape& shape = grad.shape();
    if ((shape.rank() == 2 || shape.rank() == 4) && shape[0] > 1 && u.size > 0 && !e.parameter.norm_or_bias) u.rows = shape[0];
    u.weights = e.parameter.tensor.mutable_data<float>();
    u.grads = grad.data<float>();
    for (std::size_t k = 0; k < e.slots.size(); ++k) {
      e.slots[k].move_to(Device::cpu);
      u.slots[k] = e.slots[k].mutable_data<float>();
    }
    u.lr = lr * e.lr_scale;
    u.weight_decay = e.weight_decay;
    u.step = ++steps[i];
    u.norm_or_bias = e.parameter.norm_or_bias;
  }
  const auto update_of = [&updates](const detail::Part& part) { return updates[part.item].part(part.begin, part.size()); };

  if (s.rule.matrix)
    for (auto& u : updates)
      if (u.weights && u.rows > 0) {
        s.rule.matrix(u);
        u.weights = nullptr;  // done
      }

  if (s.rule.measure) {
    std::vector<std::array<double, 2>> sums(s.parts.size());
    detail::for_parts(s.parts, [&](const detail::Part& part, std::size_t number) {
      if (updates[part.item].weights) sums[number] = s.rule.measure(update_of(part));
    });
    for (std::size_t number = 0; number < sums.size(); ++number)
      for (std::size_t k = 0; k < 2; ++k) updates[s.parts[number].item].sums[k] += sums[number][k];
  }
  detail::for_parts(s.parts, [&](const detail::Part& part, std::size_t) {
    if (updates[part.item].weights) s.rule.update(update_of(part));
  });
}

SSLCAKE_INLINE void Optimizer::forget_step() {
  std::int64_t* steps = shared_->steps.mutable_data<std::int64_t>();
  for (std::size_t i = 0; i < shared_->entries.size(); ++i) steps[i] = std::max<std::int64_t>(0, steps[i] - 1);
}

SSLCAKE_INLINE void Optimizer::zero_grad() {
  for (auto& e : shared_->entries) e.parameter.tensor.clear_grad();
}

SSLCAKE_INLINE double Optimizer::lr() const { return shared_->lr.data<double>()[0]; }
SSLCAKE_INLINE void Optimizer::set_lr(double lr) {
  shared_->lr.mutable_data<double>()[0] = detail::checked(name().c_str(), "lr", lr, 0, 1e30);
}
SSLCAKE_INLINE const std::string& Optimizer::name() const { return shared_->rule.name; }

SSLCAKE_INLINE std::string Optimizer::str() const {
  const Rule& r = shared_->rule;
  return concat(r.name, r.settings.empty() ? "" : ", ", r.settings, ", weight decay ", detail::exact(r.weight_decay),
                r.decay_norm_and_bias ? "" : " (not for norms and biases)", ", ", shared_->entries.size(),
                " parameters", shared_->groups);
}

SSLCAKE_INLINE Parameters Optimizer::parameters() const {
  Parameters out;
  for (const auto& e : shared_->entries) out.push_back(e.parameter);
  return out;
}

SSLCAKE_INLINE Parameters Optimizer::state() const {
  Parameters out;
  const auto add = [&out](std::string name, const Tensor& t) {
    Parameter p;
    p.name = std::move(name);
    p.tensor = t;
    p.buffer = true;
    out.push_back(std::move(p));
  };
  add("lr", shared_->lr);
  add("steps", shared_->steps);
  for (const auto& e : shared_->entries)
    for (std::size_t k = 0; k < e.slots.size(); ++k) add(e.parameter.name + "." + shared_->rule.slots[k], e.slots[k]);
  return out;
}

SSLCAKE_INLINE void Optimizer::load_state(const StateDict& state) { io::copy_state(name().c_str(), this->state(), state); }

}  // namespace sslcake::inline v0::optim
