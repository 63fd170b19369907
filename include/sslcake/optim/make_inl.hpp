#pragma once

#include "adam.hpp"
#include "lars.hpp"
#include "make.hpp"
#include "muon.hpp"
#include "sgd.hpp"

namespace sslcake::inline v0::optim {

namespace detail {
/// Moves an option that was given to its place; what nobody has taken at the end is an option too many.
class OptionReader {
 public:
  OptionReader(std::string_view name, const Options& options) : name_(name), left_(options) {}
  template <class T>
  void take(std::optional<T> Options::*member, T& target) {
    if (auto& given = left_.*member) target = *given;
    (left_.*member).reset();
  }
  void finish() const {
    const std::pair<const char*, bool> all[] = {
        {"momentum", left_.momentum.has_value()}, {"nesterov", left_.nesterov.has_value()},
        {"beta1", left_.beta1.has_value()},       {"beta2", left_.beta2.has_value()},
        {"eps", left_.eps.has_value()},           {"trust_coefficient", left_.trust_coefficient.has_value()}};
    for (const auto& [option, given] : all)
      if (given) fail("optim::make", "the optimiser ", name_, " has no option ", option);
  }

 private:
  std::string_view name_;
  Options left_;
};
}  // namespace detail

SSLCAKE_INLINE Optimizer make(std::string_view name, const Groups& groups, const Options& options) {
  detail::OptionReader reader(name, options);
  const auto take_common = [&reader](auto& o) {
    reader.take(&Options::lr, o.lr);
    reader.take(&Options::weight_decay, o.weight_decay);
    reader.take(&Options::decay_norm_and_bias, o.decay_norm_and_bias);
  };
  const auto take_betas = [&reader](auto& o) {
    reader.take(&Options::beta1, o.beta1);
    reader.take(&Options::beta2, o.beta2);
    reader.take(&Options::eps, o.eps);
  };
  const auto take_momentum = [&reader](auto& o) {
    reader.take(&Options::momentum, o.momentum);
    reader.take(&Options::nesterov, o.nesterov);
  };
  if (name == "sgd") {
    SGDOptions o;
    take_common(o), take_momentum(o), reader.finish();
    return SGD(groups, o);
  }
  if (name == "adam") {
    AdamOptions o;
    take_common(o), take_betas(o), reader.finish();
    return Adam(groups, o);
  }
  if (name == "adamw") {
    AdamWOptions o;
    take_common(o), take_betas(o), reader.finish();
    return AdamW(groups, o);
  }
  if (name == "lars") {
    LARSOptions o;
    take_common(o), take_momentum(o), reader.take(&Options::trust_coefficient, o.trust_coefficient), reader.finish();
    return LARS(groups, o);
  }
  if (name == "muon") {
    MuonOptions o;
    take_common(o), take_momentum(o), reader.finish();
    return Muon(groups, o);
  }
  fail("optim::make", "expected sgd, adam, adamw, lars or muon, got \"", name, "\"");
}

}  // namespace sslcake::inline v0::optim
