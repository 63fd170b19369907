#pragma once

#include <algorithm>

#include "../io/json.hpp"
#include "curves.hpp"

namespace sslcake::inline v0::report {

SSLCAKE_INLINE const Curve* Curves::find(std::string_view kind, std::string_view name) const {
  for (const auto& c : all)
    if (c.kind == kind && c.name == name) return &c;
  return nullptr;
}

SSLCAKE_INLINE const Curve* Curves::find(std::string_view name) const {
  const Curve* step = find("step", name);
  return step ? step : find("epoch", name);
}

SSLCAKE_INLINE Curves read_curves(std::string_view jsonl) {
  Curves curves;
  double steps_per_epoch = 0;
  while (!jsonl.empty()) {
    const auto end = std::min(jsonl.find('\n'), jsonl.size());
    const auto line = jsonl.substr(0, end);
    jsonl.remove_prefix(std::min(end + 1, jsonl.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;

    io::Json object;
    try {
      object = io::Json::parse(line);
    } catch (const Error&) {
    }
    if (!object.is_object()) {
      ++curves.unreadable;
      continue;
    }
    const auto real = [&](std::string_view key) {
      const auto* v = object.find(key);
      return v && v->is_number() ? v->as_double() : 0.0;
    };
    const auto* kind_member = object.find("kind");
    const std::string kind = kind_member && kind_member->is_string() ? kind_member->as_string() : "step";
    if (kind == "epoch" && real("epoch") > 0 && real("step") > 0) steps_per_epoch = real("step") / real("epoch");
    curves.seconds = std::max(curves.seconds, real("seconds"));
    for (const auto& [name, value] : object.members()) {
      if (!value.is_number() || name == "step" || name == "epoch" || name == "seconds") continue;
      auto it = std::find_if(curves.all.begin(), curves.all.end(), [&, &wanted = name](const Curve& c) {
        return c.kind == kind && c.name == wanted;
      });
      if (it == curves.all.end()) it = curves.all.insert(it, {kind, name, {}});
      // Lines without steps (none are written so) fall back on the epoch.
      it->points.emplace_back(real("step") > 0 ? real("step") : real("epoch"), value.as_double());
    }
  }
  curves.x_is_epoch = steps_per_epoch > 0;
  if (curves.x_is_epoch)
    for (auto& c : curves.all)
      for (auto& p : c.points) p.first /= steps_per_epoch;
  return curves;
}

SSLCAKE_INLINE std::vector<std::pair<double, double>> thin_out(const std::vector<std::pair<double, double>>& points,
                                                               std::size_t most) {
  if (points.size() <= most || most == 0) return points;
  std::vector<std::pair<double, double>> out(most);
  for (std::size_t i = 0; i < most; ++i) {
    const std::size_t begin = points.size() * i / most, end = points.size() * (i + 1) / most;
    for (auto j = begin; j < end; ++j) {
      out[i].first += points[j].first / static_cast<double>(end - begin);
      out[i].second += points[j].second / static_cast<double>(end - begin);
    }
  }
  return out;
}

}  // namespace sslcake::inline v0::report
