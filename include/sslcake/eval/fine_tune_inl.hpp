#pragma once

#include <algorithm>
#include <map>

#include "../autograd/tape.hpp"
#include "../core/random.hpp"
#include "../data/loader.hpp"
#include "../ops/losses.hpp"
#include "../ops/matmul.hpp"
#include "../ops/reduce.hpp"
#include "../optim/schedule.hpp"
#include "../optim/sgd.hpp"
#include "features.hpp"
#include "fine_tune.hpp"
#include "knn.hpp"

namespace sslcake::inline v0::eval {

SSLCAKE_INLINE std::vector<std::int64_t> balanced_subset(const std::vector<std::int64_t>& labels, std::int64_t per_class,
                                                         std::uint64_t seed) {
  if (per_class < 1) fail("balanced_subset", "expected at least 1 label per class, got ", per_class);
  std::map<std::int64_t, std::vector<std::int64_t>> members;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0)
      fail("balanced_subset", "expected labels >= 0, got ", labels[i], " at ", i, "; the data set has no labels");
    members[labels[i]].push_back(static_cast<std::int64_t>(i));
  }
  std::vector<std::int64_t> chosen;
  for (auto& [label, items] : members) {
    if (static_cast<std::int64_t>(items.size()) < per_class)
      fail("balanced_subset", "expected at least ", per_class, " pictures of each class, but class ", label, " has ",
           items.size(), "; ask for fewer");
    Random random(seed, Purpose::evaluate, 0, static_cast<std::uint64_t>(label));
    for (std::size_t i = 0; i < static_cast<std::size_t>(per_class); ++i)  // the first steps of a Fisher-Yates shuffle
      std::swap(items[i], items[i + random.below(static_cast<std::uint32_t>(items.size() - i))]);
    chosen.insert(chosen.end(), items.begin(), items.begin() + per_class);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

SSLCAKE_INLINE double train_classifier(const nn::AnyEncoder& encoder, const data::DatasetPtr& train,
                                       const data::DatasetPtr& test, const FineTuneOptions& options) {
  if (!train || !test || !data::has_labels(*train) || !data::has_labels(*test))
    fail("fine_tune", "expected train and test pictures that all have labels");
  if (options.epochs < 1 || options.batch < 1)
    fail("fine_tune", "expected epochs and batch >= 1, got ", options.epochs, " and ", options.batch);
  const auto labels = data::labels_of(*train);
  const std::int64_t classes = *std::max_element(labels.begin(), labels.end()) + 1;
  // The head starts at 0: no luck in it, and the first gradients reach the head alone.
  const Device device = device_of(encoder.parameters());
  Tensor weight = zeros({classes, encoder.dim()}, DType::float32, device), bias = zeros({classes}, DType::float32, device);
  weight.set_requires_grad();
  bias.set_requires_grad();
  Parameters parameters = encoder.parameters();
  std::erase_if(parameters, [](const Parameter& p) { return !p.tensor.requires_grad(); });  // frozen
  for (auto& p : parameters) p.name = "encoder." + p.name;
  parameters.push_back({"head.weight", weight});
  parameters.push_back({"head.bias", bias});
  optim::SGD sgd(parameters, {.lr = options.lr, .momentum = 0.9, .nesterov = true});
  const optim::Schedule cosine{};

  const auto views = augment::Recipe(options.size).normalised(options.normalisation)
                         .then(augment::RandomResizedCrop{.scale_low = options.smallest_crop}).then(augment::Flip{});
  data::Loader loader(train, {{views}},
                      {.batch = std::min(options.batch, train->size()), .seed = options.seed, .device = device});
  const std::int64_t steps = loader.batches() * options.epochs;
  std::int64_t step = 0;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    double sum = 0;
    encoder.train(true);
    loader.start(epoch);
    for (data::Batch batch; loader.next(batch); ++step) {
      if (options.stop && options.stop()) fail("fine_tune", "stopped");
      const Tensor loss = ops::cross_entropy(ops::linear(encoder.forward(batch.images).pooled, weight, bias), batch.labels);
      const double value = loss.item();
      if (!all_finite(scalar(value, DType::float64)))
        fail("fine_tune", "the loss is not finite in epoch ", epoch + 1, "; try a smaller learning rate than ", options.lr);
      sum += value;
      sgd.zero_grad();
      backward(loss);
      sgd.set_lr(options.lr * cosine.factor(step, steps));
      sgd.step();
    }
    if (options.progress) options.progress(epoch + 1, sum / static_cast<double>(loader.batches()));
  }
  const FeatureSet measured = extract(encoder, test, augment::evaluation(options.size, options.normalisation));
  const NoGrad no_grad;
  return accuracy(ops::argmax(ops::linear(measured.features, weight, bias)), measured.labels);
}

SSLCAKE_INLINE FineTuneResult fine_tune(const nn::AnyEncoder& pretrained, const nn::AnyEncoder& fresh,
                                        const data::DatasetPtr& train, const data::DatasetPtr& test,
                                        const FineTuneOptions& options) {
  if (!train || !data::has_labels(*train)) fail("fine_tune", "expected pictures with labels to fine-tune on");
  const auto chosen = balanced_subset(data::labels_of(*train), options.labels_per_class, options.seed);
  const data::DatasetPtr few = std::make_shared<data::Subset>(train, chosen);
  FineTuneResult result;
  result.labelled = few->size();
  result.fine_tune = train_classifier(pretrained.clone(), few, test, options);
  result.from_scratch = train_classifier(fresh.clone(), few, test, options);
  return result;
}

}  // namespace sslcake::inline v0::eval
