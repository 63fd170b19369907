#include <doctest/doctest.h>

#include "formula.hpp"
#include "sslcake/nn/init.hpp"
#include "sslcake/nn/layers.hpp"
#include "sslcake/ops/arithmetic.hpp"
#include "sslcake/ops/matmul.hpp"
#include "sslcake/ops/pointwise.hpp"
#include "sslcake/ops/reduce.hpp"

using namespace sslcake;

namespace {

struct Moments {
  double mean = 0, deviation = 0, most = 0;
};
Moments moments(const Tensor& t) {
  Moments m;
  const auto v = t.to_vector<double>();
  for (const double x : v) m.mean += x / static_cast<double>(v.size());
  for (const double x : v) {
    m.deviation += (x - m.mean) * (x - m.mean) / static_cast<double>(v.size());
    m.most = std::max(m.most, std::abs(x));
  }
  m.deviation = std::sqrt(m.deviation);
  return m;
}

std::vector<std::string> listing(const Parameters& parameters) {
  std::vector<std::string> out;
  for (const auto& p : parameters) out.push_back(p.name + " " + p.tensor.shape().str());
  return out;
}

}  // namespace

TEST_CASE("PyTorch's initial values: uniform within 1/sqrt(fan_in)") {
  seed(3);
  const nn::Linear linear(64, 200);
  const nn::Conv2d conv(16, 100, 3, {.groups = 2});
  for (const auto& [t, bound] : {std::pair(linear.weight(), 1 / 8.0),
                                 {linear.bias(), 1 / 8.0},
                                 {conv.weight(), 1 / std::sqrt(72.0)},
                                 {conv.bias(), 1 / std::sqrt(72.0)}}) {
    const Moments m = moments(t);
    CHECK(m.most <= bound);
    CHECK(m.most > 0.9 * bound);
    CHECK(std::abs(m.mean) < 0.15 * bound);
    CHECK(m.deviation == doctest::Approx(bound / std::sqrt(3.0)).epsilon(0.12));
  }
  CHECK(conv.weight().shape() == Shape{100, 3, 3, 8});
  const Moments m = moments(nn::init::kaiming_normal_fan_out({64, 3, 3, 32}));
  CHECK(m.deviation == doctest::Approx(std::sqrt(2.0 / (64 * 9))).epsilon(0.03));
  CHECK(m.most > 3 * m.deviation);
  CHECK(moments(nn::Embedding(100, 50).weight()).deviation == doctest::Approx(1).epsilon(0.05));
}

TEST_CASE("initial values depend on the seed and the order of construction, on nothing else") {
  seed(5);
  const nn::Linear a(10, 10), b(10, 10);
  seed(5);
  const Tensor noise = nn::Dropout(0.5).forward(ones({100}));
  const nn::Linear c(10, 10), d(10, 10);
  seed(6);
  const nn::Linear e(10, 10);
  CHECK(a.weight().to_vector<float>() == c.weight().to_vector<float>());
  CHECK(b.weight().to_vector<float>() == d.weight().to_vector<float>());
  CHECK(a.weight().to_vector<float>() != b.weight().to_vector<float>());
  CHECK(a.weight().to_vector<float>() != e.weight().to_vector<float>());
}

TEST_CASE("layers compute what their ops compute") {
  const Tensor x = hashed_tensor({5, 6}, 1), map = hashed_tensor({2, 7, 7, 4}, 2);
  const nn::Linear linear(6, 3), plain(6, 3, false);
  CHECK(linear.forward(x).to_vector<float>() == ops::linear(x, linear.weight(), linear.bias()).to_vector<float>());
  CHECK(plain.parameters().size() == 1);
  CHECK_FALSE(plain.bias().defined());
  const nn::Conv2d conv(4, 8, {3, 1}, {.stride = 2, .padding = {1, 0}});
  CHECK(conv.forward(map).shape() == Shape{2, 4, 4, 8});
  CHECK(conv.parameters()[0].layout == Layout::conv);
  CHECK(conv.parameters()[1].layout == Layout::plain);
  const nn::LayerNorm norm(6);
  for (const double v : ops::mean(norm.forward(x), {-1}).to_vector<double>()) CHECK(std::abs(v) < 1e-6);
  const nn::Embedding table(4, 3);
  const Tensor rows = table.forward(from_vector<std::int64_t>({2, 2}, {3, 0, 0, 1}));
  CHECK(rows.shape() == Shape{2, 2, 3});
  CHECK(rows.data<float>()[0] == table.weight().data<float>()[9]);
}

TEST_CASE("batch norm and dropout follow the mode") {
  const nn::BatchNorm norm(3);
  const Tensor x = hashed_tensor({8, 3}, 3);
  const auto in_training = norm.forward(x).to_vector<float>();
  norm.eval();
  const auto in_evaluation = norm.forward(x).to_vector<float>();
  CHECK(in_training != in_evaluation);
  CHECK(norm.forward(x).to_vector<float>() == in_evaluation);
  CHECK(norm.state()[4].tensor.item() == 1);  // one batch counted
  const nn::Dropout dropout(0.5);
  const Tensor many = ones({1000});
  int zero = 0;
  for (const float v : dropout.forward(many).to_vector<float>()) zero += v == 0;
  CHECK(zero > 400);
  CHECK(zero < 600);
  dropout.eval();
  CHECK(dropout.forward(many).to_vector<float>() == std::vector<float>(1000, 1.0f));
}

TEST_CASE("ConvNormAct is its parts in a row, and the folded one is the same in evaluation") {
  const nn::ConvNormAct unit(4, 8, 3, {.stride = 2, .padding = 1});
  CHECK(listing(unit.state()) == std::vector<std::string>{"conv.weight (8,3,3,4)", "bn.weight (8)", "bn.bias (8)",
                                                          "bn.running_mean (8)", "bn.running_var (8)",
                                                          "bn.num_batches_tracked ()"});
  fill(unit.state());
  const Tensor x = hashed_tensor({2, 6, 6, 4}, 1), residual = hashed_tensor({2, 3, 3, 8}, 2);
  const auto parts = [&] {
    return ops::relu(ops::add(unit.norm().forward(unit.conv().forward(x)), residual)).to_vector<float>();
  };
  const auto near = [](const std::vector<float>& a, const std::vector<float>& b) {
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-5));
  };
  near(unit.forward(x, residual).to_vector<float>(), parts());
  unit.eval();
  const auto expected = unit.forward(x, residual).to_vector<float>();
  near(expected, parts());
  auto folded = nn::clone(unit);
  folded.fold();
  near(folded.forward(x, residual).to_vector<float>(), expected);
  CHECK(folded.conv().weight().to_vector<float>() == unit.conv().weight().to_vector<float>());  // only the copy inside is scaled
  folded.train();
  CHECK(contains(message_of([&] { folded.forward(x); }), "folded for inference"));
}

TEST_CASE("MLP: numbered like torch.nn.Sequential") {
  const nn::MLP plain({3, 5, 2});
  CHECK(listing(plain.state()) == std::vector<std::string>{"0.weight (5,3)", "0.bias (5)", "2.weight (2,5)", "2.bias (2)"});
  const nn::ProjectionHead head({8, 6, 4});
  CHECK(listing(head.parameters()) ==
        std::vector<std::string>{"0.weight (6,8)", "1.weight (6)", "1.bias (6)", "3.weight (4,6)", "3.bias (4)"});
  const nn::MLP all(
      {3, 4, 4, 2},
      {.norm = nn::MLPOptions::Norm::layer, .last_norm = true, .activation = ops::Activation::gelu, .dropout = 0.1});
  CHECK(listing(all.parameters()) == std::vector<std::string>{"0.weight (4,3)", "0.bias (4)", "1.weight (4)", "1.bias (4)",
                                                              "4.weight (4,4)", "4.bias (4)", "5.weight (4)", "5.bias (4)",
                                                              "8.weight (2,4)", "8.bias (2)", "9.weight (2)", "9.bias (2)"});
  CHECK(all.forward(hashed_tensor({2, 5, 3}, 1)).shape() == Shape{2, 5, 2});

  const Tensor x = hashed_tensor({4, 3}, 1);
  const auto p = plain.parameters();
  const Tensor by_hand = ops::linear(ops::relu(ops::linear(x, p[0].tensor, p[1].tensor)), p[2].tensor, p[3].tensor);
  CHECK(plain.forward(x).to_vector<float>() == by_hand.to_vector<float>());
  CHECK(nn::clone(head).forward(hashed_tensor({9, 8}, 2)).shape() == Shape{9, 4});
  nn::ProjectionHead assigned;
  assigned = head;
  CHECK(assigned.parameters()[0].tensor.shares_storage_with(head.parameters()[0].tensor));
}

TEST_CASE("multiply-adds are counted") {
  const nn::MacCounter counter;
  nn::Linear(6, 3).forward(ones({5, 6}));
  CHECK(counter.total() == 5 * 6 * 3);
  nn::Conv2d(4, 8, 3, {.padding = 1, .groups = 2}).forward(ones({2, 7, 7, 4}));
  CHECK(counter.total() == 5 * 6 * 3 + 2 * 7 * 7 * 8 * 9 * 2);
}

TEST_CASE("what is refused") {
  CHECK(contains(message_of([] { nn::Linear(0, 3); }), "[Linear]"));
  CHECK(contains(message_of([] { nn::Conv2d(3, -1, 3); }), "[Conv2d]"));
  CHECK(contains(message_of([] { nn::Conv2d(3, 4, 3, {.groups = 2}); }), "groups that divide 3 and 4"));
  CHECK(contains(message_of([] { nn::Conv2d(3, 4, 0); }), "kernel of at least 1"));
  CHECK(contains(message_of([] { nn::BatchNorm(0); }), "[BatchNorm]"));
  CHECK(contains(message_of([] { nn::Dropout(1.0); }), "[Dropout]"));
  CHECK(contains(message_of([] { nn::Dropout(std::nan("")); }), "[Dropout]"));
  CHECK(contains(message_of([] { nn::MLP({3}); }), "at least two widths"));
  CHECK(contains(message_of([] { nn::Linear(4, 2).forward(ones({3, 5})); }), "linear"));
}
