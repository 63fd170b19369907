#include <doctest/doctest.h>

#include <algorithm>
#include <sslcake/core/random.hpp>
#include <sslcake/eval/fine_tune.hpp>

using namespace sslcake;

namespace {

// Two classes: stripes along or across, at a random phase, in noise. Neither crops nor flips change which it is.
data::DatasetPtr stripes(std::int64_t n, std::uint64_t seed) {
  return std::make_shared<data::FunctionDataset>(
      n,
      [seed](std::int64_t i) {
        Random random(seed, Purpose::test, 0, static_cast<std::uint64_t>(i));
        image::Image picture(16, 16);
        const int phase = static_cast<int>(random.below(4));
        for (int y = 0; y < 16; ++y)
          for (int x = 0; x < 16; ++x)
            for (int c = 0; c < 3; ++c)
              picture.at(x, y)[c] = static_cast<std::uint8_t>(random.below(80) + (((i % 2 ? x : y) + phase) / 2 % 2 ? 150 : 0));
        return picture;
      },
      [](std::int64_t i) { return i % 2; });
}

nn::AnyEncoder tiny() {
  return nn::ResNet(
      {.name = "tiny", .widths = {8}, .blocks = {1}, .stem_kernel = 3, .stem_stride = 1, .stem_width = 8, .stem_pool = false});
}

std::vector<float> numbers(const nn::AnyEncoder& e) {
  std::vector<float> all;
  for (const auto& p : e.state())
    for (const float v : p.tensor.to_vector<float>()) all.push_back(v);
  return all;
}

}  // namespace

TEST_CASE("balanced_subset: as many of each class, in order, a function of the seed") {
  std::vector<std::int64_t> labels;
  for (int i = 0; i < 90; ++i) labels.push_back(i % 3 == 0 ? 7 : i % 3);
  const auto some = eval::balanced_subset(labels, 5, 1);
  CHECK(some.size() == 15);
  CHECK(std::is_sorted(some.begin(), some.end()));
  CHECK(std::adjacent_find(some.begin(), some.end()) == some.end());
  for (const std::int64_t c : {1, 2, 7})
    CHECK(std::count_if(some.begin(), some.end(), [&](auto i) { return labels[static_cast<std::size_t>(i)] == c; }) == 5);
  CHECK(eval::balanced_subset(labels, 5, 1) == some);
  CHECK(eval::balanced_subset(labels, 5, 2) != some);
  CHECK(eval::balanced_subset(labels, 30).size() == 90);
  CHECK_THROWS_WITH_AS(eval::balanced_subset(labels, 31), doctest::Contains("class 1 has 30"), Error);
  CHECK_THROWS_WITH_AS(eval::balanced_subset({0, -1}, 1), doctest::Contains("no labels"), Error);
  CHECK_THROWS_AS(eval::balanced_subset(labels, 0), Error);
}

TEST_CASE("fine_tune: learns from few labels, leaves the encoders alone, is repeatable") {
  seed(3);
  const auto encoder = tiny(), fresh = tiny();
  const auto before = numbers(encoder), fresh_before = numbers(fresh);
  const auto train = stripes(60, 1), test = stripes(80, 2);
  const eval::FineTuneOptions options{.labels_per_class = 10, .size = 16, .epochs = 12, .batch = 10, .lr = 0.05};
  const auto found = eval::fine_tune(encoder, fresh, train, test, options);
  CHECK(found.labelled == 20);
  CHECK(found.fine_tune > 0.9);
  CHECK(found.from_scratch > 0.9);
  CHECK(numbers(encoder) == before);
  CHECK(numbers(fresh) == fresh_before);
  const auto again = eval::fine_tune(encoder, fresh, train, test, options);
  CHECK(again.fine_tune == found.fine_tune);
  CHECK(again.from_scratch == found.from_scratch);
}

TEST_CASE("train_classifier: trains the encoder it is given, tells every epoch, can be stopped") {
  seed(4);
  const auto encoder = tiny();
  const auto before = numbers(encoder);
  std::vector<double> losses;
  eval::FineTuneOptions options{.size = 16, .epochs = 8, .batch = 10, .lr = 0.05};
  options.progress = [&](int epoch, double loss) {
    CHECK(epoch == static_cast<int>(losses.size()) + 1);
    losses.push_back(loss);
  };
  eval::train_classifier(encoder, stripes(30, 1), stripes(10, 2), options);
  CHECK(losses.size() == 8);
  CHECK(losses.back() < 0.5 * losses.front());
  CHECK(numbers(encoder) != before);
  options.stop = [] { return true; };
  CHECK_THROWS_WITH_AS(eval::train_classifier(encoder, stripes(30, 1), stripes(10, 2), options), doctest::Contains("stopped"),
                       Error);
}

TEST_CASE("fine_tune: missing labels are named") {
  const auto bare = std::make_shared<data::FunctionDataset>(9, [](std::int64_t) { return image::Image(16, 16); });
  CHECK_THROWS_WITH_AS(eval::fine_tune(tiny(), tiny(), bare, bare), doctest::Contains("labels"), Error);
}
