// An optimiser chosen at run time, by name.
#pragma once

#include "optimizer.hpp"

namespace sslcake::inline v0::optim {

/// Options for `make`: those that are not given keep the optimiser's own default.
struct Options {
  std::optional<double> lr{}, momentum{}, weight_decay{}, beta1{}, beta2{}, eps{}, trust_coefficient{};
  std::optional<bool> nesterov{}, decay_norm_and_bias{};
};
/// An optimiser by name, for programs: "sgd", "adam", "adamw", "lars" or "muon". An option that it does not have is an error.
Optimizer make(std::string_view name, const Groups& groups, const Options& options = {});
inline Optimizer make(std::string_view name, const Parameters& parameters, const Options& options = {}) {
  return make(name, Groups{{parameters}}, options);
}

}  // namespace sslcake::inline v0::optim

#ifndef SSLCAKE_COMPILED
#include "make_inl.hpp"
#endif
