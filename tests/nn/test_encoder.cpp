#include <doctest/doctest.h>

#include "formula.hpp"
#include "sslcake/nn/cakenet.hpp"
#include "sslcake/nn/encoder.hpp"
#include "sslcake/ops/pointwise.hpp"
#include "sslcake/ops/pool.hpp"

using namespace sslcake;

namespace {

/// What a user may bring: no base class of ours.
struct Own {
  nn::Conv2d conv{3, 8, 3, {.padding = 1}};
  nn::Features forward(const Tensor& x) const {
    const Tensor y = ops::relu(conv.forward(x));
    return {{y}, ops::global_avg_pool(y)};
  }
  std::int64_t dim() const { return 8; }
  std::vector<std::int64_t> stage_dims() const { return {8}; }
  Parameters state() const { return conv.state(); }
  Parameters parameters() const { return conv.parameters(); }
  void train(bool on = true) { conv.train(on); }
};
/// Its layer cannot be moved.
struct Constant : nn::Module {
  const nn::Conv2d conv = add_child("conv", nn::Conv2d(3, 8, 3));
  nn::Features forward(const Tensor& x) const {
    const Tensor y = conv.forward(x);
    return {{y}, ops::global_avg_pool(y)};
  }
  std::int64_t dim() const { return 8; }
  std::vector<std::int64_t> stage_dims() const { return {8}; }
};
/// Clones itself, and counts how often.
struct Counting : Own {
  static inline int clones = 0;
  Counting clone() const { return ++clones, Counting{nn::clone(static_cast<const Own&>(*this))}; }
};
struct NoEncoder {
  Tensor forward(const Tensor& x) const { return x; }
};
static_assert(nn::Encoder<Own>);
static_assert(nn::Encoder<nn::ResNet>);
static_assert(nn::Encoder<nn::AnyEncoder>);
static_assert(!nn::Encoder<NoEncoder>);

}  // namespace

TEST_CASE("encoders by name, with width and stem") {
  const auto small = nn::make_encoder("resnet18-w8", {.stem = nn::Stem::small});
  CHECK(small.name() == "resnet18-w8");
  CHECK(small.dim() == 64);
  CHECK(small.stage_dims() == std::vector<std::int64_t>{8, 16, 32, 64});
  CHECK(small.forward(pictures(2, 8)).stages[0].shape() == Shape{2, 8, 8, 8});
  CHECK(nn::make_encoder("resnet18-w8").forward(pictures(2, 64)).stages[0].shape() == Shape{2, 16, 16, 8});
  CHECK(nn::make_encoder("resnet50-w4").dim() == 128);
  CHECK(nn::make_encoder("resnet34-w4").name() == "resnet34-w4");
  CHECK(nn::make_encoder("cakenet").dim() == 256);
  CHECK(nn::make_encoder("cakenet-w64").name() == "cakenet");
  CHECK(nn::AnyEncoder(nn::cakenet({.widths = {8, 16}, .blocks = {1, 1}})).name() == "cakenet-custom");
  for (const char* bad : {"", "resnet", "resnet19", "resnet18-", "resnet18-w", "resnet18-w0", "resnet18-w-8", "resnet18-wx",
                          "resnet18-w8x", "resnet18-w99999999999999999999", "Resnet18"}) {
    CAPTURE(bad);
    CHECK(contains(message_of([&] { nn::make_encoder(bad); }), "expected one of resnet18, resnet34, resnet50, cakenet"));
  }
}

TEST_CASE("multiply-adds and parameters are those of the literature") {
  // 1.814e9 for ResNet-18 and 4.089e9 for ResNet-50 at 224 (torchvision's documentation, classifier included).
  const auto resnet18 = nn::make_encoder("resnet18");
  CHECK(nn::macs(resnet18, 224, 224) == doctest::Approx(1.814e9 - 512e3).epsilon(1e-3));
  CHECK(nn::parameter_count(resnet18.state()) == 11'689'512 - 513'000);
  CHECK(nn::macs(nn::make_encoder("resnet18-w16", {.stem = nn::Stem::small}), 32, 32) == 35'045'376);
  const auto cake = nn::make_encoder("cakenet", {.stem = nn::Stem::small});
  CHECK(nn::macs(cake, 32, 32) < 50'000'000);
  CHECK(cake.training());  // counting left mode and statistics as they were
  for (const auto& p : cake.state())
    if (ends_with(p.name, "num_batches_tracked")) CHECK(p.tensor.item() == 0);
}

TEST_CASE("AnyEncoder: shared by copies, cloned on request, around any class") {
  const nn::AnyEncoder any = Own{};
  const nn::AnyEncoder same = any, other = nn::clone(any);
  CHECK(any.name() == "custom");
  CHECK_FALSE(any.config());
  CHECK(any.dim() == 8);
  Tensor weight = any.state()[0].tensor;
  const float before = weight.data<float>()[0];
  weight.mutable_data<float>()[0] = before + 1;
  CHECK(same.state()[0].tensor.data<float>()[0] == before + 1);
  CHECK(other.state()[0].tensor.data<float>()[0] == before);
  any.eval();
  CHECK_FALSE(same.training());
  CHECK(other.training());
  CHECK(any.forward(pictures(2, 4)).pooled.shape() == Shape{2, 8});
  CHECK(contains(message_of([] { nn::AnyEncoder().dim(); }), "expected an encoder"));
  const nn::AnyEncoder net = nn::cakenet({.width = 4});
  REQUIRE(net.config());
  CHECK(std::get<nn::ResNetConfig>(*net.config()).widths == std::vector<std::int64_t>{4, 8, 16});
  CHECK(net.parameters().size() < net.state().size());
}

TEST_CASE("cloning a class that has an AnyEncoder clones that as well; copies and assignments share it") {
  struct Student {
    nn::AnyEncoder encoder;
    nn::Linear head;
  };
  const Student student{nn::make_encoder("cakenet-w4", {.stem = nn::Stem::small}), nn::Linear(16, 2)};
  const Student teacher = nn::clone(student), copy = student;
  Student assigned{nn::cakenet({.width = 4}), nn::Linear(16, 2)};
  assigned = student;
  const auto first = [](const Student& s) { return s.encoder.state()[0].tensor; };
  CHECK(first(teacher).to_vector<float>() == first(student).to_vector<float>());
  CHECK_FALSE(first(teacher).shares_storage_with(first(student)));
  CHECK(first(copy).shares_storage_with(first(student)));
  CHECK(first(assigned).shares_storage_with(first(student)));
  CHECK_FALSE(nn::clone(student.encoder).state()[0].tensor.shares_storage_with(first(student)));
}

TEST_CASE("what a clone lists is what it computes with, also where members cannot be moved; two handles stay two on one") {
  struct Pair {
    nn::AnyEncoder first, second;
  };
  const nn::AnyEncoder constant{Constant{}}, counting{Counting{}};
  const Pair pair{constant, counting}, same{counting, counting};
  const Pair copy = nn::clone(pair);
  Tensor weight = copy.first.state()[0].tensor;
  CHECK_FALSE(weight.shares_storage_with(constant.state()[0].tensor));
  const Tensor x = ones({1, 4, 4, 3});
  const auto before = copy.first.forward(x).pooled.to_vector<float>();
  copy_into(weight, zeros(weight.shape()));
  CHECK(copy.first.forward(x).pooled.to_vector<float>() != before);
  CHECK(constant.forward(x).pooled.to_vector<float>() == before);

  Counting::clones = 0;
  const Pair twins = nn::clone(same);
  CHECK(Counting::clones == 1);
  CHECK(twins.first.state()[0].tensor.shares_storage_with(twins.second.state()[0].tensor));
  CHECK_FALSE(twins.first.state()[0].tensor.shares_storage_with(counting.state()[0].tensor));
}
