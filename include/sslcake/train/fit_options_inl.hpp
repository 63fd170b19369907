#pragma once

#include <initializer_list>
#include <variant>

#include "../io/json.hpp"
#include "../optim/optimizer.hpp"
#include "fit_options.hpp"

namespace sslcake::inline v0::train::detail {

SSLCAKE_INLINE void check_options(const FitOptions& o, std::int64_t pictures, bool couples_batch) {
  if (o.epochs < 1) fail("fit", "expected epochs >= 1, got ", o.epochs);
  if (o.batch < 1) fail("fit", "expected batch >= 1, got ", o.batch);
  if (o.batch > pictures)
    fail("fit", "expected a batch no larger than the data set (", pictures, " pictures), got ", o.batch, "; use a smaller batch");
  if (!(o.warmup_epochs >= 0 && o.warmup_epochs <= o.epochs))
    fail("fit", "expected a warm-up of at least 0 and at most all ", o.epochs, " epochs, got ", o.warmup_epochs);
  if (!(o.clip >= 0)) fail("fit", "expected clip >= 0, got ", o.clip);
  if (!(o.average >= 0 && o.average < 1)) fail("fit", "expected average in [0,1), got ", o.average);
  if (o.accumulate < 1) fail("fit", "expected accumulate >= 1, got ", o.accumulate);
  if (o.accumulate > 1 && couples_batch)
    fail("fit", "expected accumulate = 1, got ", o.accumulate,
         ": the loss of this task compares the pictures of a batch with each "
         "other, so cutting it would silently mean fewer negatives; use a smaller batch, or a task with couples_batch = false");
  if (o.precision != DType::float32 && o.precision != DType::bfloat16)
    fail("fit", "expected a precision of float32 or bfloat16, got ", o.precision);
  if (o.batch % o.accumulate != 0)
    fail("fit", "expected a batch that is a multiple of accumulate, got ", o.batch, " and ", o.accumulate);
  for (const auto& [key, value] : o.settings)  // they go into checkpoints, which hold Unicode only
    if (!o.out.empty() && !(io::is_utf8(key) && io::is_utf8(value)))
      fail("fit", "expected settings in UTF-8, got ", key, " = ", value);
  if (o.resume && o.out.empty()) fail("fit", "expected an output folder to resume from, got none");
}

SSLCAKE_INLINE std::map<std::string, std::string> settings_of(const FitOptions& o, std::int64_t pictures,
                                                              const pretext::Views& views, const pretext::Optimizers& optimizers,
                                                              const std::map<std::string, std::string>& of_task) {
  using optim::detail::exact;
  auto settings = o.settings;
  settings.insert(of_task.begin(), of_task.end());  // what a program says of the same is kept
  settings["epochs"] = std::to_string(o.epochs);
  settings["batch"] = std::to_string(o.batch);
  settings["seed"] = std::to_string(o.seed);
  settings["global_seed"] = std::to_string(global_seed());  // of dropout and of what a task draws
  settings["accumulate"] = std::to_string(o.accumulate);
  settings["precision"] = name_of(o.precision);
  settings["pictures"] = std::to_string(pictures);
  settings["warmup_epochs"] = exact(o.warmup_epochs);
  settings["clip"] = exact(o.clip);
  settings["average"] = exact(o.average);
  settings["schedule"] = o.schedule.str();
  for (std::size_t i = 0; i < optimizers.size(); ++i)
    settings[concat("optimizer", i)] = concat(optimizers[i].str(), ", learning rate ", exact(optimizers[i].lr()));
  auto& all = settings["views"];
  for (std::size_t v = 0; v < views.size(); ++v)
    all += concat(v ? "; " : "", text_of(views[v].recipe), ", label ", views[v].label, ", draw ", views[v].draw_of(v));
  return settings;
}

/// Overloads, one per step: its name and its numbers.
struct StepText {
  static std::string join(const char* name, std::initializer_list<float> numbers) {
    std::string text = name;
    for (const float n : numbers) text += " " + optim::detail::exact(n);
    return text;
  }
  std::string operator()(const augment::RandomResizedCrop& s) const {
    return join("RandomResizedCrop", {s.scale_low, s.scale_high, s.ratio_low, s.ratio_high});
  }
  std::string operator()(const augment::CentreCrop& s) const { return join("CentreCrop", {s.share}); }
  std::string operator()(const augment::Stretch&) const { return "Stretch"; }
  std::string operator()(const augment::Flip& s) const { return join("Flip", {s.p}); }
  std::string operator()(const augment::ColourJitter& s) const {
    return join("ColourJitter", {s.brightness, s.contrast, s.saturation, s.hue, s.p});
  }
  std::string operator()(const augment::Greyscale& s) const { return join("Greyscale", {s.p}); }
  std::string operator()(const augment::GaussianBlur& s) const {
    return join("GaussianBlur", {s.sigma_low, s.sigma_high, s.share, s.p});
  }
  std::string operator()(const augment::Solarise& s) const { return join("Solarise", {s.threshold, s.p}); }
  std::string operator()(const augment::Rotate& s) const { return join("Rotate", {s.degrees, s.p}); }
  std::string operator()(const augment::Cutout& s) const { return join("Cutout", {s.share, s.p}); }
};

SSLCAKE_INLINE std::string text_of(const augment::Recipe& recipe) {
  const auto& [mean, deviation] = recipe.normalisation();
  std::string text = std::to_string(recipe.width()) + " pixels";
  for (const auto& step : recipe.steps()) text += ", " + std::visit(StepText{}, step);
  if (recipe.quarter_turns() != 0) text += concat(", turned ", recipe.quarter_turns());
  text += StepText::join(", mean", {mean[0], mean[1], mean[2]});
  return text + StepText::join(", deviation", {deviation[0], deviation[1], deviation[2]});
}

}  // namespace sslcake::inline v0::train::detail
