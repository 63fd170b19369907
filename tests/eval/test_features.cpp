#include <doctest/doctest.h>

#include <cmath>
#include <sslcake/autograd/tape.hpp>
#include <sslcake/eval/features.hpp>
#include <sslcake/ops/pointwise.hpp>

using namespace sslcake;

namespace {

// Pictures of one grey value each, 8 x 8: picture i has the value 3 i.
data::DatasetPtr greys(std::int64_t n, std::vector<std::int64_t> unreadable = {}) {
  return std::make_shared<data::FunctionDataset>(
      n,
      [unreadable](std::int64_t i) {
        for (const auto u : unreadable)
          if (u == i) throw data::UnreadablePicture("[test] picture " + std::to_string(i));
        return image::Image(8, 8, 3, static_cast<std::uint8_t>(3 * i));
      },
      [](std::int64_t i) { return i % 4; });
}

// An encoder that notes in which mode it ran, without a base class.
struct Toy {
  std::shared_ptr<bool> mode = std::make_shared<bool>(true), saw_training = std::make_shared<bool>(false);
  Tensor scale = ones({1}).set_requires_grad();
  bool broken = false;

  nn::Features forward(const Tensor& x) {
    *saw_training = *saw_training || *mode;
    if (broken) fail("toy", "broken");
    const Tensor y = ops::relu(x);
    CHECK_FALSE(grad_enabled());
    return {{x.detach(), y}, x.alias({x.dim(0), x.numel() / x.dim(0)}).rows(0, x.dim(0))};
  }
  std::int64_t dim() const { return 192; }
  std::vector<std::int64_t> stage_dims() const { return {3, 3}; }
  Parameters state() const { return {{"scale", scale}}; }
  Parameters parameters() const { return state(); }
  void train(bool on = true) { *mode = on; }
  bool training() const { return *mode; }
};

}  // namespace

TEST_CASE("extract: all pictures in order, stages averaged over the picture, evaluation mode, mode restored") {
  Toy toy;
  const auto recipe = augment::evaluation(8);
  const auto set = eval::extract(toy, greys(11), recipe, {.batch = 4, .stages = true});
  CHECK(set.features.shape() == Shape{11, 192});
  CHECK(set.labels.to_vector<int>() == std::vector<int>{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2});
  CHECK(set.indices == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  REQUIRE(set.stages.size() == 2);
  CHECK(set.stages[0].shape() == Shape{11, 3});
  const auto x = set.features.to_vector<float>(), first = set.stages[0].to_vector<float>(),
             second = set.stages[1].to_vector<float>();
  for (std::size_t i = 0; i < 11; ++i) {
    if (i > 0) CHECK(x[i * 192] > x[(i - 1) * 192]);  // brighter and brighter
    CHECK(first[i * 3] == doctest::Approx(x[i * 192]).epsilon(1e-5));
    CHECK(second[i * 3] == doctest::Approx(std::max(0.0f, x[i * 192])).epsilon(1e-5));
  }
  CHECK_FALSE(*toy.saw_training);
  CHECK(toy.training());
  toy.train(false);
  eval::extract(toy, greys(3), recipe);
  CHECK_FALSE(toy.training());
  CHECK(eval::extract(toy, greys(3), recipe).stages.empty());
}

TEST_CASE("extract: the training mode is restored when the encoder fails, too") {
  Toy toy;
  toy.broken = true;
  CHECK_THROWS_WITH_AS(eval::extract(toy, greys(3), augment::evaluation(8)), doctest::Contains("broken"), Error);
  CHECK(toy.training());
}

TEST_CASE("extract: unreadable pictures are left out, and indices say so") {
  const auto set = eval::extract(Toy{}, greys(9, {0, 4, 5, 6, 7}), augment::evaluation(8), {.batch = 2});
  CHECK(set.indices == std::vector<std::int64_t>{1, 2, 3, 8});
  CHECK(set.labels.to_vector<int>() == std::vector<int>{1, 2, 3, 0});
  CHECK(set.features.dim(0) == 4);
  CHECK_THROWS_WITH_AS(eval::extract(Toy{}, greys(2, {0, 1}), augment::evaluation(8)), doctest::Contains("none of the 2"), Error);
}

TEST_CASE("pixels: train channels have mean 0 and deviation 1; test pictures are treated alike") {
  const auto colours = std::make_shared<data::FunctionDataset>(60, [](std::int64_t i) {
    image::Image picture(8, 8);
    for (std::size_t j = 0; j < picture.pixels.size(); ++j)
      picture.pixels[j] = static_cast<std::uint8_t>((7 * static_cast<std::size_t>(i) + 13 * j) % (j % 3 == 0 ? 250 : 60));
    return picture;
  });
  const auto sets = eval::pixels(colours, data::limit(colours, 10), 8);
  CHECK(sets.train.features.shape() == Shape{60, 192});
  CHECK(sets.test.features.shape() == Shape{10, 192});
  const auto x = sets.train.features.to_vector<double>();
  double mean[3] = {}, squares[3] = {};
  for (std::size_t i = 0; i < x.size(); ++i) {
    mean[i % 3] += x[i] / (60 * 64);
    squares[i % 3] += x[i] * x[i] / (60 * 64);
  }
  for (int c = 0; c < 3; ++c) {
    CHECK(std::fabs(mean[c]) < 1e-4);
    CHECK(squares[c] == doctest::Approx(1).epsilon(1e-3));
  }
  // A picture of both sets has the same features in both.
  const auto same = data::limit(colours, 10);
  const auto y = sets.test.features.to_vector<double>();
  const auto whole = eval::pixels(colours, colours, 8).test.features.to_vector<double>();
  const auto& subset = dynamic_cast<const data::Subset&>(*same);
  for (std::int64_t i = 0; i < 10; ++i)
    CHECK(y[static_cast<std::size_t>(i * 192)] == whole[static_cast<std::size_t>(subset.at(i) * 192)]);
}

TEST_CASE("pixels: pictures of one colour do not divide by zero") {
  const auto black = std::make_shared<data::FunctionDataset>(3, [](std::int64_t) { return image::Image(8, 8); });
  CHECK(all_finite(eval::pixels(black, black, 8).train.features));
}
