#include <doctest/doctest.h>

#include <cmath>

#include <sslcake/data/builtin.hpp>
#include <sslcake/data/loader.hpp>
#include <sslcake/nn/cakenet.hpp>
#include <sslcake/nn/encoder.hpp>
#include <sslcake/optim/sgd.hpp>
#include <sslcake/pretext/rotation.hpp>
#include <sslcake/pretext/simclr.hpp>

using namespace sslcake;

namespace {

struct NoLoss {
  pretext::Views views() const { return {}; }
  pretext::Modules modules() const { return {}; }
};
struct NoViews {
  pretext::Modules modules() const { return {}; }
  pretext::Outcome loss(const pretext::Batch&) { return {}; }
};
using Simclr = pretext::SimCLR<nn::AnyEncoder>;
using Rotation = pretext::Rotation<nn::ResNet>;
static_assert(pretext::Task<Simclr> && pretext::Task<Rotation>);
static_assert(!pretext::Task<NoLoss> && !pretext::Task<NoViews>);
static_assert(pretext::couples_batch<Simclr>() && !pretext::couples_batch<Rotation>());

pretext::Batch first_batch(const pretext::Views& views, std::int64_t n) {
  const data::Builtin pictures(data::Split::train, 64);
  data::Loader loader(pictures, views, {.batch = n, .seed = 2, .workers = 0});
  pretext::Batch batch;
  REQUIRE(loader.next(batch));
  return batch;
}

nn::AnyEncoder small_encoder() {
  seed(1);
  return nn::make_encoder("cakenet-w8", {.stem = nn::Stem::small});
}

}  // namespace

TEST_CASE("SimCLR: every trained tensor gets a gradient, and the loss starts near that of guessing") {
  Simclr task(small_encoder(), {.temperature = 5.0f});  // so warm that similarities hardly matter
  for (const auto& m : task.modules()) m.train(true);
  const auto outcome = task.loss(first_batch(task.views(), 16));
  CHECK(outcome.chance == doctest::Approx(std::log(31.0)));
  CHECK(outcome.loss.item() == doctest::Approx(outcome.chance).epsilon(0.1));
  CHECK(outcome.embedding.shape() == Shape{32, task.encoder().dim()});
  CHECK_FALSE(outcome.embedding.requires_grad());
  backward(outcome.loss);
  for (const auto& p : task.parameters()) {
    INFO(p.name);
    CHECK(p.tensor.grad().defined());
  }
}

TEST_CASE("SimCLR: the two views of a picture differ, and belong together") {
  const Simclr task(small_encoder(), {});
  const auto batch = first_batch(task.views(), 8);
  CHECK(batch.views == 2);
  CHECK(batch.images.shape() == Shape{16, 32, 32, 3});
  CHECK(batch.view(0).to_vector<float>() != batch.view(1).to_vector<float>());
}

TEST_CASE("SimCLR: a step of training lowers the loss of its batch") {
  Simclr task(small_encoder(), {.temperature = 0.5f});
  for (const auto& m : task.modules()) m.train(true);
  const auto batch = first_batch(task.views(), 32);
  optim::SGD optimizer(task.parameters(), {.lr = 0.05});
  const double before = task.loss(batch).loss.item();
  for (int i = 0; i < 10; ++i) {
    optimizer.zero_grad();
    backward(task.loss(batch).loss);
    optimizer.step();
  }
  CHECK(task.loss(batch).loss.item() < before - 0.1);
}

TEST_CASE("SimCLR: a temperature that makes no sense is refused") {
  for (const float t : {0.0f, -1.0f, std::nanf("")}) CHECK_THROWS_AS(Simclr(small_encoder(), {.temperature = t}), Error);
  CHECK_THROWS_WITH_AS(Simclr(small_encoder(), {.hidden = -5}), doctest::Contains("hidden width of at least 1"), Error);
}

TEST_CASE("SimCLR: a batch of one picture has nothing to compare it with, and is refused") {
  Simclr task(small_encoder());
  std::string message;
  try {
    task.loss(first_batch(task.views(), 1));
  } catch (const Error& e) {
    message = e.what();
  }
  CHECK(message.find("expected a batch of at least 2 pictures, got 1") != std::string::npos);
  CHECK_NOTHROW(task.loss(first_batch(task.views(), 2)));
}

TEST_CASE("rotation: four views of one draw, each the quarter turn that its label says") {
  const auto recipe = augment::Recipe(32).then(augment::RandomResizedCrop{}).then(augment::Flip{}).then(augment::ColourJitter{});
  const Rotation task(nn::cakenet({.width = 8}), {.recipe = recipe});
  const auto batch = first_batch(task.views(), 4);
  CHECK(batch.view_labels.to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3});
  const auto upright = batch.view(0).to_vector<float>();
  const auto at = [](const std::vector<float>& v, std::int64_t n, std::int64_t y, std::int64_t x) {
    return v[static_cast<std::size_t>(((n * 32 + y) * 32 + x) * 3)];
  };
  const auto once = batch.view(1).to_vector<float>(), twice = batch.view(2).to_vector<float>(),
             thrice = batch.view(3).to_vector<float>();
  bool same = true;
  for (std::int64_t n = 0; n < 4; ++n)
    for (std::int64_t y = 0; y < 32; ++y)
      for (std::int64_t x = 0; x < 32; ++x) {
        same &= at(once, n, y, x) == at(upright, n, x, 31 - y);  // counter-clockwise
        same &= at(twice, n, y, x) == at(upright, n, 31 - y, 31 - x);
        same &= at(thrice, n, y, x) == at(upright, n, 31 - x, y);
      }
  CHECK(same);
}

TEST_CASE("rotation: all parts get gradients, guessing costs log 4") {
  seed(1);
  Rotation task(nn::cakenet({.width = 8}), {.recipe = augment::evaluation(32)});
  for (const auto& m : task.modules()) m.train(true);
  const auto outcome = task.loss(first_batch(task.views(), 8));
  CHECK(outcome.chance == doctest::Approx(std::log(4.0)));
  REQUIRE(outcome.metrics.size() == 1);
  CHECK(outcome.metrics[0].name == "accuracy");
  backward(outcome.loss);
  for (const auto& p : task.parameters()) CHECK(p.tensor.grad().defined());
}

TEST_CASE("accuracy refuses labels that are not one for each row") {
  const Tensor logits = zeros({4, 3});
  for (const Tensor& labels : {zeros({2}, DType::int64), zeros({4}), zeros({5}, DType::int64)})
    CHECK_THROWS_WITH_AS(pretext::accuracy(logits, labels), doctest::Contains("expected int64 labels (4), got"), Error);
}

TEST_CASE("accuracy counts the rows whose largest logit is the label's") {
  const auto logits = from_vector<float>({3, 2}, {1, 0, 0, 1, 2, 3});
  CHECK(pretext::accuracy(logits, from_vector<std::int64_t>({3}, {0, 0, 1})) == doctest::Approx(2.0 / 3));
  const auto broken = from_vector<float>({2, 3}, {1, std::nanf(""), 2, 3, 4, std::nanf("")});  // the first NaN, as on a GPU
  CHECK(pretext::accuracy(broken, from_vector<std::int64_t>({2}, {1, 2})) == 1);
}
