#pragma once

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "../core/clock.hpp"
#include "../core/threads.hpp"
#include "../io/files.hpp"
#include "../optim/clip.hpp"
#include "../optim/ema.hpp"
#include "checkpoint.hpp"
#include "epoch_sums.hpp"
#include "metrics_log.hpp"
#include "step_results.hpp"
#include "trainer.hpp"

namespace sslcake::inline v0::train::detail {

/// One run of the loop: the state that the steps share.
class Run {
 public:
  Run(TaskHandle& task, const data::Dataset& dataset, const FitOptions& options)
      : task_(task), dataset_(dataset), options_(options), state_(pretext::all_state(task.modules)) {
    check_options(options, dataset.size(), task.couples_batch);
    device_ = options.device.value_or(device_of(state_));
    move_to(state_, device_);
    if (task.state) move_to(task.state(), device_);
    if (device_ != Device::cpu) guard_ = zeros({}, DType::int64, device_);
    std::set<const void*> seen, trained;
    Parameters once;  // tied weights have two names, but are clipped and averaged once
    for (const bool buffers : {false, true})
      for (const auto& p : state_) {
        if (p.buffer != buffers || (p.tensor.numel() > 0 && !seen.insert(p.tensor.address()).second)) continue;
        once.push_back(p);
        if (p.buffer) buffers_.add(p.tensor);
        else trained.insert(p.tensor.address()), parameters_.push_back(p);
      }
    if (options.average > 0) average_.emplace(once, options.average);
    for (const auto& o : task_.optimizers) {
      base_lr_.push_back(o.lr());
      stepped_.push_back(o.parameters());
      for (const auto& p : stepped_.back())  // its gradient would be neither cleared nor checked, nor the parameter saved
        if (p.tensor.numel() > 0 && !trained.count(p.tensor.address()))
          fail("fit", "expected an optimiser of parameters that the task's modules() have, got ", p.name,
               "; add the module that it belongs to");
    }
    steps_per_epoch_ = dataset.size() / options.batch;  // the last, smaller batch is dropped: the loss depends on its size
    steps_ = steps_per_epoch_ * options.epochs;
    warmup_steps_ = static_cast<std::int64_t>(std::llround(options.warmup_epochs * static_cast<double>(steps_per_epoch_)));
    settings_ = settings_of(options, dataset.size(), task_.views, task_.optimizers, task_.settings);
    options.schedule.factor(warmup_steps_, steps_, warmup_steps_);  // what it refuses is refused now
    if (!options.out.empty()) check_tensor_names(everything());
  }
  /// The optimisers get their base rates back, also when an exception passes: the next fit starts from them.
  ~Run() {
    for (std::size_t i = 0; i < base_lr_.size(); ++i) task_.optimizers[i].set_lr(base_lr_[i]);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  FitResult go() {
    if (!options_.out.empty()) open_folder();
    started_ = last_save_ = monotonic_seconds();
    for (const auto& m : task_.modules) m.train(true);
    data::Loader loader(dataset_, task_.views, loader_options());
    for (; epoch_ < options_.epochs; ++epoch_, epoch_step_ = 0, sums_ = {}) {
      if (!run_epoch(loader)) return result(false);
    }
    return result(true);
  }

 private:
  data::LoaderOptions loader_options() const {
    const auto& o = options_;
    return {.batch = o.batch, .seed = o.seed, .workers = o.workers, .device = device_, .precision = o.precision};
  }

  void open_folder() {
    io::make_folders(options_.out);
    auto found = list_checkpoints(checkpoint_folder());
    if (!found.empty() && !options_.resume)
      fail("fit", options_.out, " holds checkpoints of an earlier run; resume it, or choose another output folder");
    const std::int64_t log_bytes = found.empty() ? 0 : restore(found);
    if (found.empty() && options_.resume) note(options_.out + " holds no checkpoint yet: starting from the beginning");
    log_.open(options_.out + "/metrics.jsonl", log_bytes);
  }
  std::string checkpoint_folder() const { return options_.out + "/checkpoint"; }

  bool run_epoch(data::Loader& loader) {
    if (epoch_step_ == 0 && task_.before_epoch) {
      task_.before_epoch({epoch_, options_.epochs, &dataset_});
      expect_same_tensors(state_, pretext::all_state(task_.modules_now()));
      for (const auto& m : task_.modules) m.train(true);
    }
    loader.start(epoch_, epoch_step_);
    pretext::Batch batch;
    window_start_ = epoch_start_ = monotonic_seconds(), window_pictures_ = epoch_pictures_ = 0;
    const double waited_before = loader.waited();
    const auto waited = [&] { return loader.waited() - waited_before; };
    bool stop = false;
    while (!stop && loader.next(batch)) {
      train_step(batch);
      const bool epoch_ends = epoch_step_ == steps_per_epoch_;
      if (seconds_since(window_start_) >= 1 && !epoch_ends) tell_step(waited());
      stop = options_.stop && options_.stop();
      if (!epoch_ends && (stop || save_due())) save();
    }
    if (stop && epoch_step_ < steps_per_epoch_) return collect(0), false;
    end_epoch(waited(), stop);
    return !stop || epoch_ + 1 == options_.epochs;
  }

  void train_step(const pretext::Batch& batch) {
    const double factor = options_.schedule.factor(step_, steps_, warmup_steps_);
    for (std::size_t turn = 0; turn < task_.optimizers.size(); ++turn) {
      task_.optimizers[turn].set_lr(base_lr_[turn] * factor);
      lr_ = base_lr_[turn] * factor;
      clear_grads(parameters_);
      StepResult result(lr_, step_ + 1, epoch_step_, static_cast<int>(turn));
      buffers_.keep(guard_);
      Tensor loss;
      const pretext::Outcome outcome = accumulate(batch, static_cast<int>(turn), loss);
      if (turn == 0 || outcome.embedding.defined()) embedding_ = outcome.embedding;
      const Tensor squared_norm = optim::squared_grad_norm(stepped_[turn]);
      if (device_ == Device::cpu) {
        loss_ = loss.item();
        if (!finite_bits(std::sqrt(squared_norm.item())) || !finite_bits(loss_)) diagnose(batch, result);
      } else {
        watch(guard_, ++updates_, loss, squared_norm);
      }
      if (options_.clip > 0) optim::clip_grads(stepped_[turn], options_.clip, squared_norm);
      task_.optimizers[turn].step(guard_);
      result.fetch(outcome, loss, guard_);
      results_.push_back(std::move(result));
    }
    clear_grads(parameters_);
    ++step_, ++epoch_step_, window_pictures_ += options_.batch, epoch_pictures_ += options_.batch;
    if (average_) average_->update();
    if (task_.after_step) task_.after_step({step_, steps_});
    collect(device_ == Device::cpu ? 0 : most_in_flight);
  }

  /// Reads the results that have arrived, and as many more as leave `in_flight` behind.
  void collect(std::size_t in_flight) {
    while (!results_.empty() && (results_.size() > in_flight || results_.front().numbers.ready())) {
      StepResult result = std::move(results_.front());
      results_.pop_front();
      double loss = 0;
      const bool made = result.take(loss);
      if (result.turn == 0 || !made) loss_ = loss;
      if (!made) diagnose_later(std::move(result));
      if (result.turn == 0) sums_.add_step(loss, result.chance), metrics_.clear();
      sums_.add(result.metrics);
      metrics_.insert(metrics_.end(), result.metrics.begin(), result.metrics.end());
      if (result.epoch_step == 0) check_metric_names(metrics_);  // those of all turns
      const bool last = result.turn + 1 == static_cast<int>(task_.optimizers.size());
      if (last && result.step % std::max<std::int64_t>(options_.log_steps, 1) == 0) log_step(result);
    }
  }

  /// Loss and gradients of a batch, in as many pieces as asked; `loss` becomes the mean over the pieces.
  pretext::Outcome accumulate(const pretext::Batch& batch, int turn, Tensor& loss) {
    return run_pieces(task_.loss, batch, turn, options_.accumulate, options_.precision, device_, epoch_step_ == 0, loss);
  }

  /// The same for a step that the loop has run ahead of: its batch is made again.
  [[noreturn]] void diagnose_later(StepResult&& failed) {
    const StepResult& result = results_.emplace_front(std::move(failed));
    step_ = result.step - 1;
    epoch_step_ = result.epoch_step;
    lr_ = result.lr;
    // This step was counted, but not made; so were those after it.
    for (const auto& r : results_) task_.optimizers[static_cast<std::size_t>(r.turn)].forget_step();
    auto once = loader_options();
    once.resident = 0;  // the data set is on the GPU already
    data::Loader loader(dataset_, task_.views, once);
    loader.start(epoch_, epoch_step_);
    pretext::Batch batch;
    loader.next(batch);
    diagnose(batch, result);
  }

  /// A loss or gradient was not finite: runs the same step again with a check after every op, to name the first culprit.
  [[noreturn]] void diagnose(const pretext::Batch& batch, const StepResult& result) {
    const int turn = result.turn;
    std::string first = "every single op and gradient is finite, but their norm is not";
    clear_grads(parameters_);
    buffers_.restore();
    set_stream_position(Purpose::dropout, result.dropout);
    set_stream_position(Purpose::task, result.task);
    try {
      const FiniteCheck check;
      if (!all_finite(batch.images)) fail("loader", "the pictures of the batch hold values that are not finite");
      for (const auto& p : parameters_)
        if (!all_finite(p.tensor)) fail("fit", "parameter ", p.name, " is not finite");
      Tensor unused;
      accumulate(batch, turn, unused);
    } catch (const Error& e) {
      first = e.what();
    }
    clear_grads(parameters_);
    buffers_.restore();
    const std::string weights = turn == 0 ? "The weights are those before the step"
                                          : concat("Optimiser ", turn, " has not made the step, those before it have");
    fail("fit", "step ", step_ + 1, " (epoch ", epoch_ + 1, ") made a loss or gradient that is not finite, loss ", loss_,
         ". First: ", first, ". ", weights, "; try a smaller learning rate (now ", lr_, "), warm-up or clip",
         options_.out.empty() || list_checkpoints(checkpoint_folder()).empty()
             ? "" : ", in another output folder: the last checkpoint is whole, and goes on with the same settings only");
  }

  void end_epoch(double waited, bool stop) {
    collect(0);
    window_start_ = epoch_start_;  // the rate of the whole epoch, before time goes into measuring
    window_pictures_ = epoch_pictures_;
    Progress p = progress(Progress::Kind::epoch, waited);
    Measurement found;
    FirstError failed;  // of measuring: the epoch is saved first
    const int done = epoch_ + 1;
    const bool meters_due = device_ == Device::cpu || done == options_.epochs || meters_.due();
    if (meters_due && embedding_.defined()) failed.guard([&] { found = meters_of(embedding_); });
    if (options_.monitor && (done == options_.epochs || (options_.monitor_every > 0 && done % options_.monitor_every == 0))) {
      Measurement more;
      if (average_) average_->swap();
      failed.guard([&] {
        auto told = options_.monitor(done);
        auto all = sums_.means();
        all.insert(all.end(), told.metrics.begin(), told.metrics.end());
        check_metric_names(all);
        more = std::move(told);
      });
      if (average_) average_->swap();
      for (const auto& m : task_.modules) m.train(true);
      found.metrics.insert(found.metrics.end(), more.metrics.begin(), more.metrics.end());
      found.warnings.insert(found.warnings.end(), more.warnings.begin(), more.warnings.end());
      measured_ = more.metrics;
    }
    p.seconds = seconds();
    p.loss = sums_.mean_loss();
    p.metrics = sums_.means();
    p.metrics.insert(p.metrics.end(), found.metrics.begin(), found.metrics.end());
    epoch_loss_ = p.loss;
    log_.write("epoch", p);
    tell(p);
    for (const auto& w : found.warnings) say(Progress::Kind::warning, w);
    // The checkpoint after an epoch stands at the beginning of the next.
    const bool wanted = options_.checkpoint_epochs > 0 && done % options_.checkpoint_epochs == 0;
    if (wanted || stop || failed.error || done == options_.epochs || save_due()) {
      const auto sums = std::exchange(sums_, {});
      const auto at = std::exchange(epoch_step_, 0);
      ++epoch_;
      save();
      --epoch_;
      epoch_step_ = at;
      sums_ = sums;
    }
    failed.rethrow();
  }

  // --- checkpoints ------------------------------------------------------------------------------------------------
  bool save_due() const {
    if (options_.out.empty()) return false;
    return (options_.checkpoint_steps > 0 && step_ % options_.checkpoint_steps == 0) ||
           (options_.checkpoint_seconds > 0 && seconds_since(last_save_) > options_.checkpoint_seconds);
  }

  /// Every tensor of the run under the name it has in a checkpoint: what is saved is what is restored.
  Parameters everything() {
    Parameters all;
    const auto add = [&](const std::string& prefix, const Parameters& some) {
      for (auto p : some) {
        p.name = prefix + p.name;
        all.push_back(std::move(p));
      }
    };
    add("model.", state_);
    for (std::size_t i = 0; i < task_.optimizers.size(); ++i) add(concat("optimizer", i, "."), task_.optimizers[i].state());
    if (average_) add("average.", average_->state());
    if (task_.state) add("task.", task_.state());
    return all;
  }

  void save() {
    if (options_.out.empty()) return;
    collect(0);
    Checkpoint c;
    c.facts["device"] = name_of(device_);
    for (const auto& p : everything()) c.tensors.emplace_back(p.name, p.tensor.detach());
    c.settings = settings_;
    c.set("step", step_);
    c.set("epoch", epoch_);
    c.set("epoch_step", epoch_step_);
    c.set("dropout_stream", static_cast<std::int64_t>(stream_position(Purpose::dropout)));
    c.set("task_stream", static_cast<std::int64_t>(stream_position(Purpose::task)));
    c.set("init_stream", static_cast<std::int64_t>(stream_position(Purpose::init)));  // before_epoch may make a new head
    c.set("log_bytes", log_.bytes());
    c.set_real("seconds", seconds());
    c.set_real("epoch_loss", epoch_loss_);
    sums_.save(c);
    save_checkpoint(checkpoint_folder(), step_, c);
    last_save_ = monotonic_seconds();
  }

  /// Loads the newest whole checkpoint; returns how many bytes of the log belong to it.
  std::int64_t restore(std::vector<std::string>& found) {
    auto c = load_newest(found, [this](const std::string& text) { note(text); });
    const auto& path = found.front();
    check_settings(c, settings_, path);

    restore_tensors(c, everything(), path);
    step_ = c.integer("step");
    epoch_ = static_cast<int>(c.integer("epoch"));
    epoch_step_ = c.integer("epoch_step");
    set_stream_position(Purpose::dropout, static_cast<std::uint64_t>(c.integer("dropout_stream")));
    set_stream_position(Purpose::task, static_cast<std::uint64_t>(c.integer("task_stream")));
    set_stream_position(Purpose::init, static_cast<std::uint64_t>(c.integer("init_stream")));
    seconds_before_ = c.real("seconds");
    epoch_loss_ = c.real("epoch_loss");
    sums_.restore(c);
    note(concat("resumed from ", path, " at epoch ", std::min(epoch_ + 1, options_.epochs), ", step ", step_,
                changed_surroundings(c, device_)));
    return c.integer("log_bytes");
  }

  // --- telling ----------------------------------------------------------------------------------------------------
  double seconds() const { return seconds_before_ + seconds_since(started_); }

  Progress progress(Progress::Kind kind, double waited) {
    const double window = seconds_since(window_start_);
    if (window > 0 && window_pictures_ > 0) rate_ = static_cast<double>(window_pictures_) / window;
    Progress p{.kind = kind, .epoch = epoch_ + 1, .epochs = options_.epochs, .step = step_, .steps = steps_,
               .epoch_step = epoch_step_, .epoch_steps = steps_per_epoch_, .loss = loss_, .chance = sums_.chance, .lr = lr_,
               .images_per_second = rate_, .seconds = seconds(), .seconds_left = 0, .waited = waited, .metrics = {}, .text = {}};
    if (step_ > 0) p.seconds_left = p.seconds / static_cast<double>(step_) * static_cast<double>(steps_ - step_);
    return p;
  }
  void tell(const Progress& p) const { if (options_.progress) options_.progress(p); }
  void say(Progress::Kind kind, const std::string& text) const {
    Progress p;
    p.kind = kind;
    p.text = text;
    tell(p);
  }
  void note(const std::string& text) const { say(Progress::Kind::note, text); }
  void tell_step(double waited) {
    if (sums_.steps == 0) return;  // on a GPU: nothing was read yet
    Progress p = progress(Progress::Kind::step, waited);
    p.metrics = metrics_;
    tell(p);
    window_start_ = monotonic_seconds(), window_pictures_ = 0;
  }
  void log_step(const StepResult& result) {
    Progress p = progress(Progress::Kind::step, 0);
    p.step = result.step;
    p.epoch_step = result.epoch_step + 1;
    p.lr = result.lr, p.metrics = metrics_;
    log_.write("step", p);
  }

  FitResult result(bool finished) {
    if (finished && average_) average_->swap();  // the averaged weights are the result
    for (const auto& m : task_.modules) m.train(false);
    return {finished, step_, seconds(), epoch_loss_, measured_};
  }

  TaskHandle& task_;
  const data::Dataset& dataset_;
  const FitOptions& options_;
  Parameters state_, parameters_;
  Buffers buffers_;
  std::optional<optim::Ema> average_;
  std::vector<double> base_lr_;
  std::vector<Parameters> stepped_;       // by each optimiser
  std::map<std::string, std::string> settings_;
  MetricsLog log_;
  std::int64_t steps_per_epoch_ = 0, steps_ = 0, warmup_steps_ = 0;  // planned
  std::int64_t step_ = 0, epoch_step_ = 0;                           // done
  int epoch_ = 0;
  EpochSums sums_;
  Device device_ = Device::cpu;
  Pause meters_{10};                  // on a GPU, where epochs may be shorter than reading the collapse meters takes
  Tensor guard_;                      // there: the number of the first update whose loss or gradient was not finite
  std::int64_t updates_ = 0;
  std::deque<StepResult> results_;    // of steps whose numbers were not read yet
  std::vector<pretext::Metric> metrics_;  // of the last step that was read
  Tensor embedding_;                      // of the last step
  double loss_ = 0, lr_ = 0, epoch_loss_ = 0, rate_ = 0, seconds_before_ = 0;
  std::vector<pretext::Metric> measured_;
  std::int64_t window_pictures_ = 0, epoch_pictures_ = 0;
  double started_ = monotonic_seconds(), window_start_ = started_, epoch_start_ = started_, last_save_ = started_;
};

SSLCAKE_INLINE FitResult fit(TaskHandle& task, const data::Dataset& dataset, const FitOptions& options) {
  return Run(task, dataset, options).go();
}

}  // namespace sslcake::inline v0::train::detail
