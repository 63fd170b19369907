// Single rows of work beside the training step, each timed alone; bench/peers/rows_torch.py does the same in Python.
// Prints one line of JSON: how much was done per second, or how long it took.
//
//   rows views32            two SimCLR views of a 32x32 picture, one thread: views/s
//   rows views224           the same at 224 pixels, with blur, of a decoded 500x375 picture
//   rows folder DIR         two views at 224 of every JPEG in a folder, decoding included, all threads: pictures/s
//   rows nt_xent [PAIRS]    loss and gradient, 128 features: ms
//   rows knn                the 200 nearest of 50,000 for 10,000 queries, 512 features: ms
//   rows votes DIR          writes features of as many pictures of 10 classes into DIR, and the classes that 200 neighbours
//                           vote for: a number of queries, for rows_torch.py to compare with its own votes
#include <sslcake/core/random.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/data/folder.hpp>
#include <sslcake/data/loader.hpp>
#include <sslcake/eval/knn.hpp>
#include <sslcake/io/npy.hpp>
#include <sslcake/ops/nt_xent.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "machine.hpp"

namespace ssl = sslcake;

namespace {

/// The median of `times` runs after one that does not count.
double median_seconds(int times, const std::function<void()>& work) {
  work();
  std::vector<double> all;
  for (int i = 0; i < times; ++i) all.push_back(bench::seconds(work));
  return bench::median(all);
}

/// Smooth colours with noise.
ssl::image::Image picture(int width, int height) {
  ssl::image::Image result(width, height);
  ssl::Random random(1, ssl::Purpose::test);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        result.at(x, y)[c] = static_cast<std::uint8_t>((x * (c + 1) + y * 2) / 4 % 200 + static_cast<int>(random.below(50)));
  return result;
}

double views_per_second(const ssl::augment::Recipe& recipe, int width, int height, int count) {
  const auto source = picture(width, height);
  std::vector<float> out(static_cast<std::size_t>(recipe.width()) * static_cast<std::size_t>(recipe.height()) * 3);
  std::uint64_t sample = 0;
  return count / median_seconds(5, [&] {
    for (int i = 0; i < count; ++i) {
      ssl::Random random(7, ssl::Purpose::augment, 0, sample++);
      recipe.make(random, source, out.data());
    }
  });
}

double folder_per_second(const std::string& path) {
  const auto folder = std::make_shared<ssl::data::ImageFolder>(path);
  const auto recipe = ssl::augment::simclr({.size = 224, .strength = 1, .blur = true});
  // Every run decodes: nothing is cached.
  ssl::data::Loader loader(folder, {{recipe}, {recipe}}, {.batch = 50, .seed = 1, .cache_bytes = 0});
  std::int64_t epoch = 0;
  return static_cast<double>(folder->size()) / median_seconds(1, [&] {
    ssl::data::Batch batch;
    loader.start(epoch++);
    while (loader.next(batch)) {}
  });
}

double nt_xent_ms(std::int64_t pairs, int times) {
  ssl::Random random(1, ssl::Purpose::test);
  ssl::Tensor z = ssl::random_normal({2 * pairs, 128}, random);
  z.set_requires_grad();
  const auto work = [&] {
    z.clear_grad();
    ssl::backward(ssl::ops::nt_xent(z).loss);
  };
  return 1000 * (times > 1 ? median_seconds(times, work) : bench::seconds(work));
}

double knn_ms() {
  ssl::Random random(1, ssl::Purpose::test);
  const ssl::Tensor base = ssl::random_normal({50000, 512}, random), queries = ssl::random_normal({10000, 512}, random);
  return 1000 * median_seconds(3, [&] { ssl::eval::nearest(queries, base, 200); });
}

/// Features of pictures of ten classes that overlap: a weak class centre under noise, class i % 10 for picture i.
ssl::Tensor class_features(std::int64_t count, std::uint64_t key) {
  ssl::Random random(1, ssl::Purpose::test, 0, key), centres_random(1, ssl::Purpose::test, 0, 0);
  ssl::Tensor features = ssl::random_normal({count, 512}, random);
  const auto centres = ssl::random_normal({10, 512}, centres_random).to_vector<float>();
  float* at = features.mutable_data<float>();
  for (std::int64_t i = 0; i < count * 512; ++i) at[i] += 0.15f * centres[static_cast<std::size_t>(i / 512 % 10 * 512 + i % 512)];
  return features;
}

double votes(const std::string& folder) {
  const ssl::Tensor base = class_features(50000, 1), queries = class_features(10000, 2);
  ssl::Tensor labels({base.dim(0)}, ssl::DType::int64);
  for (std::int64_t i = 0; i < labels.numel(); ++i) labels.mutable_data<std::int64_t>()[i] = i % 10;
  const ssl::eval::KnnOptions protocol;
  const auto voted = ssl::eval::knn_vote(ssl::eval::nearest(queries, base, protocol.k), labels, protocol.temperature);
  ssl::io::save_npy(folder + "/base.npy", base);
  ssl::io::save_npy(folder + "/queries.npy", queries);
  ssl::io::save_npy(folder + "/labels.npy", labels);
  ssl::io::save_npy(folder + "/votes.npy", voted);
  return static_cast<double>(voted.numel());
}

}  // namespace

int main(int count, char** arguments) try {
  const std::string row = count > 1 ? arguments[1] : "";
  double value = 0;
  if (row == "views32") {
    ssl::set_threads(1);
    value = views_per_second(ssl::augment::simclr({}), 32, 32, 20000);
  } else if (row == "views224") {
    ssl::set_threads(1);
    value = views_per_second(ssl::augment::simclr({.size = 224, .strength = 1, .blur = true}), 500, 375, 300);
  } else if (row == "folder" && count > 2) {
    value = folder_per_second(arguments[2]);
  } else if (row == "nt_xent") {
    const std::int64_t pairs = count > 2 ? std::atoll(arguments[2]) : 4096;
    value = nt_xent_ms(std::max<std::int64_t>(pairs, 1), pairs > 20000 ? 1 : 5);
  } else if (row == "knn") {
    value = knn_ms();
  } else if (row == "votes" && count > 2) {
    value = votes(arguments[2]);
  } else {
    std::fprintf(stderr, "expected views32, views224, folder DIR, nt_xent [PAIRS], knn or votes DIR\n");
    return 2;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"program\": \"sslcake %s\", \"value\": %.4g, \"peak_mib\": %.0f}\n", SSLCAKE_VERSION_STRING, value,
              static_cast<double>(usage.ru_maxrss) / 1024);
} catch (const ssl::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
