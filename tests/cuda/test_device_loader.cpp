// Batches from a loader for CUDA beside those of one for the CPU: the same pictures, labels and indices in the same order.
#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <string>

#include "sslcake/data/loader.hpp"
#include "sslcake/kernels/cuda/install.hpp"

using namespace sslcake;

namespace {

image::Image noise(int width, int height, std::int64_t i) {
  Random random(9, Purpose::test, 0, static_cast<std::uint64_t>(i));
  image::Image out(width, height);
  for (auto& x : out.pixels) x = static_cast<std::uint8_t>(random.below(256));
  return out;
}

/// Pictures of one size, held in memory: they stay on the GPU.
std::shared_ptr<data::MemoryDataset> held(std::int64_t n, int width = 11, int height = 9) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto picture = noise(width, height, i);
    pixels.insert(pixels.end(), picture.pixels.begin(), picture.pixels.end());
    labels.push_back(i % 4);
  }
  return std::make_shared<data::MemoryDataset>(std::move(pixels), width, height, labels);
}

/// Pictures of many sizes, every seventh grey; those in `broken` cannot be read.
std::shared_ptr<data::FunctionDataset> streamed(std::int64_t n, const std::set<std::int64_t>& broken = {}) {
  return std::make_shared<data::FunctionDataset>(
      n,
      [broken](std::int64_t i) {
        if (broken.count(i)) throw data::UnreadablePicture("broken " + std::to_string(i));
        if (i % 7 == 3) return image::Image(9, 8, 1, static_cast<std::uint8_t>(i));
        return noise(8 + static_cast<int>(i % 5), 7 + static_cast<int>(i % 3), i);
      },
      [](std::int64_t i) { return 100 + i; });
}

data::Views two_views(int size) {
  const auto recipe = augment::simclr({.size = size, .blur = true});
  return {{recipe, 5}, {recipe.rotated90(1).normalised({{0.5f, 0.4f, 0.3f}, {0.3f, 0.2f, 0.4f}}), 6}};
}

void check_same(data::Loader cpu, data::Loader cuda, double most = 1e-3) {
  for (std::int64_t epoch : {0, 3}) {
    cpu.start(epoch);
    cuda.start(epoch);
    data::Batch a, b;
    while (cpu.next(a)) {
      REQUIRE(cuda.next(b));
      CHECK(b.images.device() == Device::cuda);
      CHECK(b.labels.device() == Device::cuda);
      CHECK(b.view_labels.device() == Device::cuda);
      CHECK(a.indices == b.indices);
      CHECK(a.number == b.number);
      CHECK(a.views == b.views);
      REQUIRE(a.images.shape() == b.images.shape());
      CHECK(a.labels.to_vector<std::int64_t>() == b.labels.to(Device::cpu).to_vector<std::int64_t>());
      CHECK(a.view_labels.to_vector<std::int64_t>() == b.view_labels.to(Device::cpu).to_vector<std::int64_t>());
      const auto x = a.images.to_vector<float>(), y = b.images.to(Device::cpu).to_vector<float>();
      double largest = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double d = std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i]));
        largest = d == d ? std::max(largest, d) : 1e9;
      }
      CHECK(largest < most);  // a unit of the colours is up to five of the normalised images
    }
    CHECK_FALSE(cuda.next(b));
  }
}

/// The same loader for both devices.
void check_both(const data::DatasetPtr& dataset, const data::Views& views, data::LoaderOptions options, double most = 1e-3) {
  data::Loader cpu(dataset, views, options);
  options.device = Device::cuda;
  check_same(std::move(cpu), data::Loader(dataset, views, options), most);
}

}  // namespace

TEST_CASE("pictures that stay on the GPU give the batches of the CPU") {
  cuda::install();
  for (const int workers : {0, 3}) {
    check_both(held(13), two_views(6), {.batch = 5, .drop_last = false, .seed = 3, .workers = workers});
    check_both(std::make_shared<data::Subset>(held(13), std::vector<std::int64_t>{7, 2, 2, 12, 0}), two_views(6),
               {.batch = 2, .seed = 3, .workers = workers});
  }
  check_both(std::make_shared<data::Relabelled>(held(6), std::vector<std::int64_t>{5, 4, 3, 2, 1, 0}), two_views(5),
             {.batch = 3, .seed = 1, .workers = 1});
}

TEST_CASE("pictures that are streamed give the batches of the CPU") {
  cuda::install();
  for (const int workers : {0, 3}) {
    check_both(streamed(17), two_views(6), {.batch = 5, .drop_last = false, .seed = 3, .workers = workers});
    check_both(streamed(17), two_views(6), {.batch = 4, .seed = 3, .workers = workers, .cache_bytes = 0});
  }
  check_both(held(9), two_views(6), {.batch = 4, .seed = 3, .workers = 2, .resident = 0});  // no memory for them to stay
}

TEST_CASE("unreadable pictures are replaced or left out as on the CPU") {
  cuda::install();
  for (const auto unreadable : {data::Unreadable::replace, data::Unreadable::skip}) {
    check_both(streamed(12, {2, 3, 8}), two_views(6), {.batch = 4, .seed = 3, .workers = 2, .unreadable = unreadable});
    check_both(streamed(8, {0, 1, 2, 5}), two_views(6),
               {.batch = 3, .shuffle = false, .drop_last = false, .seed = 3, .workers = 0, .unreadable = unreadable});
  }
  data::Loader loader(streamed(3, {0, 1, 2}), two_views(4), {.batch = 3, .workers = 1, .device = Device::cuda});
  data::Batch batch;
  CHECK_THROWS_AS(loader.next(batch), data::UnreadablePicture);
}

TEST_CASE("a custom function runs on the CPU, and its views go up") {
  cuda::install();
  const auto invert = [](image::Image& picture, Random& random) {
    if (random.chance(0.5f))
      for (auto& x : picture.pixels) x = static_cast<std::uint8_t>(255 - x);
  };
  const auto recipe = augment::simclr({.size = 6});
  check_both(held(8), {{recipe.custom(invert)}, {recipe}}, {.batch = 4, .seed = 3, .workers = 2}, 1e-9);
}

TEST_CASE("images in bfloat16 are those of float32, rounded") {
  cuda::install();
  const auto invert = [](image::Image& picture, Random&) { std::swap(picture.pixels.front(), picture.pixels.back()); };
  for (const bool custom : {false, true}) {
    const auto recipe = custom ? augment::simclr({.size = 6}).custom(invert) : augment::simclr({.size = 6});
    data::LoaderOptions options{.batch = 4, .seed = 3, .workers = 1, .device = Device::cuda};
    data::Loader exact(held(4), {{recipe}}, options);
    options.precision = DType::bfloat16;
    data::Loader rounded(held(4), {{recipe}}, options);
    data::Batch a, b;
    REQUIRE(exact.next(a));
    REQUIRE(rounded.next(b));
    CHECK(b.images.dtype() == DType::bfloat16);
    const auto x = a.images.to(Device::cpu).to_vector<float>(), y = b.images.to(Device::cpu).to_vector<float>();
    REQUIRE(x.size() == y.size());
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(static_cast<float>(bfloat16(x[i])) == y[i]);
  }
}

TEST_CASE("in_order on the GPU, and a loader that goes on in the middle of an epoch") {
  cuda::install();
  const auto recipe = augment::evaluation(7);
  check_same(data::in_order(held(9), recipe, 4), data::in_order(held(9), recipe, 4, Device::cuda));
  check_same(data::in_order(streamed(9, {4}), recipe, 4), data::in_order(streamed(9, {4}), recipe, 4, Device::cuda));

  const data::LoaderOptions options{.batch = 3, .seed = 3, .workers = 2, .device = Device::cuda};
  data::Loader whole(held(12), two_views(5), options), later(held(12), two_views(5), options);
  data::Batch a, b;
  whole.start(2);
  for (int i = 0; i < 3; ++i) REQUIRE(whole.next(a));
  later.start(1);
  later.start(2, 2);
  REQUIRE(later.next(b));
  CHECK(a.indices == b.indices);
  CHECK(a.images.to(Device::cpu).to_vector<float>() == b.images.to(Device::cpu).to_vector<float>());
}

TEST_CASE("options that make no sense on the GPU are refused") {
  cuda::install();
  const auto message = [](const data::LoaderOptions& options) -> std::string {
    try {
      data::Loader loader(held(4), two_views(4), options);
    } catch (const Error& error) { return error.what(); }
    return "";
  };
  CHECK(message({.batch = 2, .device = Device::cuda, .precision = DType::float64}).find("precision") != std::string::npos);
  CHECK(message({.batch = 2, .device = Device::cuda, .resident = 2}).find("[0,1]") != std::string::npos);
}
