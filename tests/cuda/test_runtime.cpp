// Tensors on CUDA: memory, copies, conversions.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "sslcake/autograd/tape.hpp"
#include "sslcake/core/random.hpp"
#include "sslcake/kernels/cuda/install.hpp"
#include "sslcake/kernels/cuda/table.hpp"

using namespace sslcake;

TEST_CASE("numbers go there and come back") {
  cuda::install();
  Random random(1, Purpose::test);
  for (const DType type : {DType::float32, DType::bfloat16, DType::float64}) {
    const Tensor a = random_normal({7, 33}, random, 0, 1, type), there = a.to(Device::cuda);
    CHECK(there.device() == Device::cuda);
    CHECK(there.to_vector<double>() == a.to_vector<double>());
    CHECK(there.rows(2, 5).to_vector<double>() == a.rows(2, 5).to_vector<double>());
    CHECK(there.clone().to_vector<double>() == a.to_vector<double>());
  }
  CHECK(full({5}, 2.5, DType::float32, Device::cuda).to_vector<float>() == std::vector<float>(5, 2.5f));
  CHECK(zeros({0, 3}, DType::float32, Device::cuda).to_vector<float>().empty());
  CHECK(scalar(7, DType::int64, Device::cuda).item() == 7);
}

TEST_CASE("types are converted as on the CPU") {
  cuda::install();
  const std::vector<float> values{0, 1, -1, 0.5f, 300, -300, 1e20f, -1e20f, std::numeric_limits<float>::quiet_NaN(), 3.7f, -3.7f};
  const Tensor a = from_vector({static_cast<std::int64_t>(values.size())}, values);
  for (const DType type : {DType::bfloat16, DType::int64, DType::uint8, DType::boolean}) {
    CAPTURE(name_of(type));
    const Tensor here = a.to(type), there = a.to(Device::cuda).to(type);
    CHECK(there.dtype() == type);
    const auto p = there.to_vector<double>(), q = here.to_vector<double>();
    for (std::size_t i = 0; i < p.size(); ++i) CHECK((p[i] == q[i] || (std::isnan(p[i]) && std::isnan(q[i]))));
  }
}

TEST_CASE("moving a tensor moves every handle on it, and its gradient") {
  cuda::install();
  Tensor a = full({3}, 2);
  a.set_requires_grad();
  a.set_grad(full({3}, 5));
  Tensor other = a;
  const Tensor part = a.rows(1, 2);
  a.move_to(Device::cuda);
  CHECK(other.device() == Device::cuda);
  CHECK(part.item() == 2);
  CHECK(other.grad().device() == Device::cuda);
  other.move_to(Device::cpu);
  CHECK(a.data<float>()[0] == 2);
  CHECK(a.grad().data<float>()[2] == 5);
}

TEST_CASE("freed memory is used again, and its neighbours join") {
  if (const char* cache = std::getenv("SSLCAKE_CUDA_CACHE"); cache && std::string(cache) == "0") {
    MESSAGE("skipped: SSLCAKE_CUDA_CACHE=0, nothing is used again");
    return;
  }
  cuda::install();
  release_cached_memory(Device::cuda);
  const auto before = memory_stats(Device::cuda);
  { const Tensor big({64, 1 << 20}, DType::uint8, Device::cuda); }
  const auto asked = memory_stats(Device::cuda).from_system;
  for (int round = 0; round < 3; ++round) {
    std::vector<Tensor> parts;
    for (int i = 0; i < 16; ++i) parts.emplace_back(Shape{4, 1 << 20}, DType::uint8, Device::cuda);
    if (round == 1) parts.erase(parts.begin(), parts.begin() + 8);
  }
  { const Tensor big({64, 1 << 20}, DType::uint8, Device::cuda); }
  CHECK(memory_stats(Device::cuda).from_system == asked);
  CHECK(memory_stats(Device::cuda).in_use == before.in_use);
}

TEST_CASE("memory that is not there is one clear message, and what was there stays") {
  cuda::install();
  const Tensor kept = full({1000}, 1, DType::float32, Device::cuda);
  try {
    const Tensor huge({std::int64_t{1} << 45}, DType::uint8, Device::cuda);
    FAIL("expected an Error");
  } catch (const Error& e) {
    const std::string text = e.what();
    CAPTURE(text);
    CHECK(text.find("35184372088832 bytes") != std::string::npos);
    CHECK(text.find("are free") != std::string::npos);
    CHECK(text.find("smaller batch") != std::string::npos);
  }
  CHECK(kept.to_vector<float>()[999] == 1);
}

TEST_CASE("a number that is not finite is found wherever it stands") {
  cuda::install();
  CHECK_FALSE(all_finite(full({}, std::numeric_limits<double>::infinity(), DType::float64, Device::cuda)));
  for (const DType type : {DType::float32, DType::bfloat16, DType::float64})
    for (const std::int64_t at : {0, 1, 777, 4999}) {
      std::vector<float> values(5000, 1.0f);
      const auto tensor = [&] { return from_vector({5000}, values).to(type).to(Device::cuda); };
      CHECK(all_finite(tensor()));
      values[static_cast<std::size_t>(at)] =
          at % 2 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
      CHECK_FALSE(all_finite(tensor()));
    }
}

TEST_CASE("what is uploaded may change at once") {
  cuda::install();
  std::vector<float> values(100000);
  std::vector<Tensor> there;
  for (int i = 0; i < 40; ++i) {
    std::fill(values.begin(), values.end(), static_cast<float>(i));
    there.emplace_back(Shape{100000}, DType::float32, Device::cuda);
    kernels::cuda::table().runtime.upload(there.back().mutable_address(), values.data(), values.size() * 4);
  }
  for (int i = 0; i < 40; ++i) CHECK(there[static_cast<std::size_t>(i)].to_vector<float>()[99999] == static_cast<float>(i));
}
