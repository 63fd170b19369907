#pragma once

#include <map>

#include "state.hpp"

namespace sslcake::inline v0::io {
namespace detail {

/// A four-axis tensor with its axes in another order: out[i,j,k,l] with extents in.dim(axis[0]), ...
inline Tensor permuted(const Tensor& anywhere, const int (&axis)[4]) {
  const Tensor in = anywhere.to(Device::cpu);
  Shape shape;
  std::int64_t stride[4];
  for (const int a : axis) shape.push_back(in.dim(a));
  for (int d = 0; d < 4; ++d) stride[d] = in.shape().span(axis[d] + 1, 4);
  Tensor out(shape, in.dtype());
  dispatch_all(in.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = in.data<T>();
    T* to = out.mutable_data<T>();
    for (std::int64_t i = 0; i < shape[0]; ++i)
      for (std::int64_t j = 0; j < shape[1]; ++j)
        for (std::int64_t k = 0; k < shape[2]; ++k)
          for (std::int64_t l = 0; l < shape[3]; ++l)
            *to++ = from[i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3]];
  });
  return out;
}

/// Both layouts that differ from theirs, (O,H,W,I) and (I,H,W,O), have the channels last where theirs has them second.
inline bool channels_move(const Parameter& p) { return p.layout != Layout::plain && p.tensor.rank() == 4; }

inline Shape stored_shape(const Parameter& p, Axes axes) {
  const Shape& s = p.tensor.shape();
  return axes == Axes::theirs && channels_move(p) ? Shape{s[0], s[3], s[1], s[2]} : s;
}

inline bool begins_with_any(const std::string& name, const std::vector<std::string>& beginnings) {
  for (const auto& b : beginnings)
    if (name.compare(0, b.size(), b) == 0) return true;
  return false;
}
inline bool ends_with_any(const std::string& name, const std::vector<std::string>& endings) {
  for (const auto& e : endings)
    if (name.size() >= e.size() && name.compare(name.size() - e.size(), e.size(), e) == 0) return true;
  return false;
}

}  // namespace detail

SSLCAKE_INLINE StateDict to_state_dict(const Parameters& parameters, Axes axes) {
  StateDict out;
  for (const auto& p : parameters) {
    const bool move = axes == Axes::theirs && detail::channels_move(p);
    out.emplace_back(p.name, move ? detail::permuted(p.tensor, {0, 3, 1, 2}) : p.tensor.detach());
  }
  return out;
}

SSLCAKE_INLINE void copy_state(const char* where, const Parameters& to, const StateDict& from, const CopyOptions& options) {
  std::map<std::string, const Tensor*> given;
  std::vector<std::pair<const Parameter*, const Tensor*>> pairs;
  std::string missing, shapes, unexpected;
  const auto ignored = [&options](const std::string& name) { return detail::begins_with_any(name, options.ignore); };
  for (const auto& [name, tensor] : from)
    if (!ignored(name) && !given.emplace(name, &tensor).second) unexpected += concat("\n  twice: ", name);
  for (const auto& p : to) {
    if (ignored(p.name)) continue;
    const auto found = given.find(p.name);
    if (found == given.end()) {
      if (!detail::ends_with_any(p.name, options.may_miss))
        missing += concat("\n  missing: ", p.name, " ", detail::stored_shape(p, options.axes));
      continue;
    }
    const Tensor& t = *found->second;
    given.erase(found);
    if (t.shape() == detail::stored_shape(p, options.axes)) pairs.emplace_back(&p, &t);
    else shapes += concat("\n  ", p.name, ": expected ", detail::stored_shape(p, options.axes), ", got ", t.shape());
  }
  for (const auto& [name, tensor] : from)
    if (given.count(name)) unexpected += concat("\n  unexpected: ", name, " ", tensor.shape());
  if (const std::string all = shapes + missing + unexpected; !all.empty())
    fail(where, "the tensors do not fit the ", to.size(), " expected ones:", all);
  for (const auto& [p, t] : pairs) {
    Tensor target = p->tensor;
    copy_into(target, options.axes == Axes::theirs && detail::channels_move(*p) ? detail::permuted(*t, {0, 2, 3, 1}) : *t);
  }
}

}  // namespace sslcake::inline v0::io
