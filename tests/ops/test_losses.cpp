#include <cmath>

#include "fixture.hpp"
#include "sslcake/ops/arithmetic.hpp"
#include "sslcake/ops/losses.hpp"
#include "sslcake/ops/softmax.hpp"

using namespace sslcake;
using namespace op_test;
using ops::Reduction;

namespace {

const Reduction reductions[] = {Reduction::mean, Reduction::sum, Reduction::none};

/// A loss of x and target, over shapes, reductions and targets with values in [low, high).
void check_pair(const std::function<Tensor(const Tensor&, const Tensor&, Reduction)>& loss, double low, double high) {
  for (const Shape& s : usual_shapes())
    for (const Reduction r : reductions) {
      if (s.numel() == 0 && r == Reduction::mean) continue;  // NaN, as PyTorch
      gradcheck([&](const Tensors& x) { return loss(x[0], x[1], r); },
                {random_input(s, 1, -2, 2), random_input(s, 2, low, high)});
    }
}

Reduction reduction_of(const FixtureCase& c) { return static_cast<Reduction>(c.integer("reduction")); }

}  // namespace

OP_CASE("cross_entropy") {
  for (const auto& [logits, rows] :
       std::vector<std::pair<Shape, Shape>>{{{4, 6}, {4}}, {{3, 2, 5}, {3, 2}}, {{1, 1}, {1}}, {{5}, {}}, {{0, 3}, {0}}})
    for (const double smoothing : {0.0, 0.2})
      for (const Reduction r : reductions)
        for (const bool weighted : {false, true}) {
          if (rows.numel() == 0 && r == Reduction::mean) continue;
          ops::CrossEntropyOptions options{smoothing, 0, {}, r};  // class 0 is ignored
          if (weighted) options.class_weights = random_input({logits.back()}, 4, 0.5, 2);
          if (logits.back() == 1) options.ignore_index = -100;
          Tensor target = random_integers(rows, 0, logits.back(), 3);
          if (target.numel()) target.mutable_data<std::int64_t>()[0] = logits.back() - 1;  // at least one row counts
          gradcheck([&](const Tensors& x) { return ops::cross_entropy(x[0], x[1], options); },
                    {random_input(logits, 1, -3, 3), target});
        }
}

OP_CASE("mse_loss") { check_pair(ops::mse_loss, -2, 2); }
OP_CASE("l1_loss") { check_pair(ops::l1_loss, -5, -3); }
OP_CASE("huber_loss") {
  check_pair([](const Tensor& x, const Tensor& t, Reduction r) { return ops::huber_loss(x, t, 0.8, r); }, -2, 2);
  check_pair([](const Tensor& x, const Tensor& t, Reduction r) { return ops::huber_loss(t, x, 50, r); }, -2, 2);
}
OP_CASE("bce_with_logits") {
  check_pair([](const Tensor& x, const Tensor& t, Reduction r) { return ops::bce_with_logits(x, t, 1, r); }, 0, 1);
  check_pair([](const Tensor& x, const Tensor& t, Reduction r) { return ops::bce_with_logits(x, t, 2.5, r); }, 0, 1);
}
OP_CASE("kl_div") {
  check_pair([](const Tensor& x, const Tensor& t, Reduction r) { return ops::kl_div(x, t, r); }, 0.05, 1);
  check_pair([](const Tensor& x, const Tensor& t, Reduction r) { return ops::kl_div(x, t, r, true); }, -3, 0);
  gradcheck([](const Tensors& x) { return ops::kl_div(x[0], x[1], Reduction::batch_mean); },
            {random_input({3, 2}, 1, -2, 0), random_input({3, 2}, 2, 0.1, 1)});
}
OP_CASE("normalize") {
  for (const Shape& s : std::vector<Shape>{{4, 6}, {3, 5, 7}, {2, 1}, {0, 3}, {3, 0}})
    for (int axis = -1; axis < s.rank(); ++axis) {
      gradcheck([=](const Tensors& x) { return ops::normalize(x[0], axis); }, {random_input(s, 1, 0.2, 1)});
      gradcheck([=](const Tensors& x) { return ops::normalize(x[0], axis, 50.0); },
                {random_input(s, 1)});  // all shorter than eps
    }
}
OP_CASE("cosine_similarity") {
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{
           {{4, 6}, {4, 6}}, {{3, 5}, {1, 5}}, {{3, 5, 7}, {7}}, {{2, 1}, {2, 1}}, {{0, 3}, {0, 3}}, {{3, 0}, {3, 0}}})
    gradcheck([](const Tensors& x) { return ops::cosine_similarity(x[0], x[1]); },
              {random_input(a, 1, 0.2, 1), random_input(b, 2)});
  gradcheck([](const Tensors& x) { return ops::cosine_similarity(x[0], x[1], 0); },
            {random_input({4, 3}, 1), random_input({4, 3}, 2)});
  for (const int axis : {0, 1, 2, -1})
    gradcheck([=](const Tensors& x) { return ops::cosine_similarity(x[0], x[1], axis); },
              {random_input({2, 3, 4}, 1), random_input({3, 1}, 2, 0.2, 1)});
}

TEST_CASE("cosine similarity with broadcasting is that of the repeated tensors, along the common shape's axis") {
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{
           {{2, 3, 4}, {3, 4}}, {{2, 1, 4}, {3, 1}}, {{2, 4}, {2, 1}}, {{4}, {2, 3, 1}}}) {
    const Tensor x = random_input(a, 1), y = random_input(b, 2), nothing = ops::add(x, y) * 0.0;
    for (int axis = -nothing.rank(); axis < nothing.rank(); ++axis)
      check_close(ops::cosine_similarity(x, y, axis), ops::cosine_similarity(x + nothing, y + nothing, axis), 1e-12, 1e-12);
  }
  check_error([] { ops::cosine_similarity(zeros({2, 3}), zeros({3}), 2); }, {"[cosine_similarity]", "(2,3)", "got 2"});
}

TEST_CASE("class weights that were changed before the backward pass are noticed") {
  Tensor x = random_input({2, 3}, 1), weights = full({3}, 2, DType::float64);
  x.set_requires_grad();
  const Tensor loss = ops::cross_entropy(x, from_vector<std::int64_t>({2}, {0, 2}), {.class_weights = weights});
  weights.mutable_data<double>()[0] = 5;
  check_error([&] { backward(loss); }, {"[backward]", "(3)", "changed in place"});
}

TEST_CASE("losses and softmax agree with PyTorch") {
  const auto axis = [](const FixtureCase& c) { return static_cast<int>(c.integer("axis")); };
  replay("losses",
         {
             {"softmax", [=](const FixtureCase& c) { return ops::softmax(c["x"], axis(c)); }},
             {"log_softmax", [=](const FixtureCase& c) { return ops::log_softmax(c["x"], axis(c)); }},
             {"cross_entropy",
              [](const FixtureCase& c) {
                return ops::cross_entropy(c["x"], c["target"],
                                          {c.number("smoothing"), 7, c.has("weight") ? c["weight"] : Tensor{}, reduction_of(c)});
              }},
             {"mse_loss", [](const FixtureCase& c) { return ops::mse_loss(c["x"], c["t"], reduction_of(c)); }},
             {"l1_loss", [](const FixtureCase& c) { return ops::l1_loss(c["x"], c["t"], reduction_of(c)); }},
             {"huber_loss",
              [](const FixtureCase& c) { return ops::huber_loss(c["x"], c["t"], c.number("delta"), reduction_of(c)); }},
             {"bce_with_logits",
              [](const FixtureCase& c) {
                return ops::bce_with_logits(c["x"], c["t"], c.number("positive_weight"), reduction_of(c));
              }},
             {"kl_div",
              [](const FixtureCase& c) { return ops::kl_div(c["x"], c["t"], reduction_of(c), c.number("log_target") != 0); }},
             {"normalize", [=](const FixtureCase& c) { return ops::normalize(c["x"], axis(c), c.number("eps")); }},
             {"cosine_similarity", [=](const FixtureCase& c) { return ops::cosine_similarity(c["a"], c["b"], axis(c)); }},
         });
}

TEST_CASE("losses stay finite where the formulas would overflow") {
  const Tensor x = from_vector<float>({4}, {-200, -1, 1, 200}), t = from_vector<float>({4}, {1, 0, 1, 0});
  const auto bce = ops::bce_with_logits(x, t, 1, Reduction::none).to_vector<double>();
  CHECK(bce[0] == 200);
  CHECK(bce[1] == doctest::Approx(std::log1p(std::exp(-1.0))));
  CHECK(bce[3] == 200);
  const Tensor logits = from_vector<float>({1, 3}, {1e4f, 0, -1e4f});
  CHECK(ops::cross_entropy(logits, from_vector<std::int64_t>({1}, {2})).item() == 2e4);
  CHECK(ops::cross_entropy(logits, from_vector<std::int64_t>({1}, {0})).item() == 0);
  // A target of 0 contributes nothing, whatever the logarithm of 0 is.
  CHECK(ops::kl_div(from_vector<float>({2}, {-1, -2}), from_vector<float>({2}, {0, 1}), Reduction::sum).item() == 2);
  CHECK(ops::normalize(zeros({1, 3})).to_vector<double>() == std::vector<double>{0, 0, 0});
  CHECK(ops::normalize(full({1, 4}, 1e30)).to_vector<double>() == std::vector<double>{0.5, 0.5, 0.5, 0.5});
}

TEST_CASE("losses of bfloat16 are float32, and their gradient comes back as bfloat16") {
  Tensor x = random_input({4, 3}).to(DType::bfloat16);
  x.set_requires_grad();
  const Tensor loss = ops::cross_entropy(x, from_vector<std::int64_t>({4}, {0, 1, 2, 0}));
  CHECK(loss.dtype() == DType::float32);
  backward(loss);
  CHECK(x.grad().dtype() == DType::bfloat16);
  CHECK(ops::mse_loss(x, zeros({4, 3})).dtype() == DType::float32);
}

TEST_CASE("losses refuse what does not fit") {
  const Tensor x = zeros({2, 3});
  const auto target = [](std::int64_t a, std::int64_t b) { return from_vector<std::int64_t>({2}, {a, b}); };
  check_error([&] { ops::cross_entropy(x, target(0, 3)); }, {"[cross_entropy]", "[0,3)", "got 3", "row 1"});
  check_error([&] { ops::cross_entropy(x, target(-1, 0)); }, {"[cross_entropy]", "got -1", "row 0"});
  check_error([&] { ops::cross_entropy(x, zeros({3}, DType::int64)); }, {"[cross_entropy]", "(2,3)", "(3)"});
  check_error([&] { ops::cross_entropy(x, zeros({2})); }, {"[cross_entropy]", "int64", "float32"});
  check_error([&] { ops::cross_entropy(x, target(0, 1), {1.5}); }, {"[cross_entropy]", "label_smoothing", "1.5"});
  check_error(
      [&] {
        ops::cross_entropy(x, target(0, 1), {0, -100, ones({2})});
      },
      {"[cross_entropy]", "class_weights (3)", "(2)"});
  check_error([&] { ops::mse_loss(x, zeros({2, 1})); }, {"[mse_loss]", "one shape", "(2,3)", "(2,1)"});
  check_error([&] { ops::huber_loss(x, x, 0); }, {"[huber_loss]", "delta > 0"});
  check_error([&] { ops::l1_loss(x, zeros({2, 3}, DType::float64)); }, {"[l1_loss]", "one type"});
  check_error([&] { ops::kl_div(scalar(0), scalar(1), Reduction::batch_mean); }, {"[kl_div]", "batch"});
  check_error([&] { ops::normalize(x, 2); }, {"[normalize]", "(2,3)", "got 2"});
  check_error([&] { ops::bce_with_logits(x, arange(3)); }, {"[bce_with_logits]", "int64"});
}
