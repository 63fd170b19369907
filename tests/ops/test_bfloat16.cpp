// The ops that networks for pictures consist of, on bfloat16 pictures, against the same in float32.
#include <doctest/doctest.h>

#include <sslcake/autograd/tape.hpp>
#include <sslcake/core/random.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/ops/arithmetic.hpp>
#include <sslcake/ops/attention.hpp>
#include <sslcake/ops/conv.hpp>
#include <sslcake/ops/conv_norm_act.hpp>
#include <sslcake/ops/layer_norm.hpp>
#include <sslcake/ops/matmul.hpp>
#include <sslcake/ops/norm.hpp>
#include <sslcake/ops/pool.hpp>
#include <sslcake/ops/reduce.hpp>
#include <sslcake/ops/resize.hpp>
#include <sslcake/ops/shape_ops.hpp>

#include <algorithm>
#include <cmath>
#include <functional>

#include "../worse.hpp"

using namespace sslcake;

namespace {

/// Root of the mean squared difference, over the deviation of what was wanted.
double apart(const Tensor& got, const Tensor& wanted) {
  REQUIRE(got.shape() == wanted.shape());
  const auto a = ops::cast(got.detach(), DType::float32).to_vector<float>(), b = wanted.detach().to_vector<float>();
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    difference += (x - y) * (x - y), size += y * y;
  }
  return std::sqrt(difference / size);
}

struct Run {
  Tensor y, dx, dresidual;
  std::vector<Tensor> parameters;
};

using Body = std::function<Tensor(const Tensor& x, const Tensor& residual, std::vector<Tensor>& parameters)>;

Run run(DType type, const Shape& shape, const Body& body) {
  Random random(1, Purpose::test);
  Run r;
  Tensor x = ops::cast(random_normal(shape, random), type), residual = ops::cast(random_normal(shape, random), type);
  x.set_requires_grad(true);
  residual.set_requires_grad(true);
  r.y = body(x, residual, r.parameters);
  const Tensor dy = random_normal(r.y.shape(), random);
  backward(r.y, ops::cast(dy, r.y.dtype()));
  r.dx = x.grad();
  r.dresidual = residual.grad();
  for (auto& p : r.parameters) p = p.grad();
  return r;
}

/// Results and gradients in bfloat16, those of parameters in float32, all within a hundredth.
void check_close(const Run& half, const Run& single) {
  CHECK(half.y.dtype() == DType::bfloat16);
  CHECK(half.dx.dtype() == DType::bfloat16);
  CHECK(apart(half.y, single.y) < 0.01);
  CHECK(apart(half.dx, single.dx) < 0.01);
  for (std::size_t i = 0; i < half.parameters.size(); ++i) {
    CHECK(half.parameters[i].dtype() == DType::float32);
    CHECK(apart(half.parameters[i], single.parameters[i]) < 0.01);
  }
}

}  // namespace

TEST_CASE("bfloat16: convolution, batch norm, residual and ReLU in one unit, with gradients") {
  for (const std::int64_t kernel : {1, 3}) {
    CAPTURE(kernel);
    const Body body = [kernel](const Tensor& x, const Tensor& residual, std::vector<Tensor>& parameters) {
      Random random(2, Purpose::test);
      Tensor weight = random_normal(Shape{32, kernel, kernel, 32}, random), gamma = random_normal(Shape{32}, random),
             beta = random_normal(Shape{32}, random);
      for (Tensor* p : {&weight, &gamma, &beta}) p->set_requires_grad(true), parameters.push_back(*p);
      return ops::conv_norm_act(x, weight, {.gamma = gamma, .beta = beta, .training = true}, ops::Activation::relu, residual,
                                {.padding = kernel / 2});
    };
    const Shape shape{8, 12, 12, 32};
    const Run half = run(DType::bfloat16, shape, body), single = run(DType::float32, shape, body);
    CHECK(half.y.dtype() == DType::bfloat16);
    CHECK(half.dx.dtype() == DType::bfloat16);
    CHECK(half.parameters[0].dtype() == DType::float32);
    CHECK(half.parameters[1].dtype() == DType::float32);
    CHECK(apart(half.y, single.y) < 0.01);
    CHECK(apart(half.dx, single.dx) < 0.06);  // a ReLU that opens one way only here masks a whole gradient
    CHECK(apart(half.dresidual, single.dresidual) < 0.06);
    for (std::size_t i = 0; i < half.parameters.size(); ++i) CHECK(apart(half.parameters[i], single.parameters[i]) < 0.06);
  }
}

TEST_CASE("bfloat16: linear layers, with and without a bias, whatever the number of rows and channels") {
  for (const Shape& shape : {Shape{2, 65, 48}, Shape{37, 17}, Shape{5, 3}, Shape{300, 64}})
    for (const bool biased : {false, true}) {
      CAPTURE(shape.str());
      const Body body = [&](const Tensor& x, const Tensor&, std::vector<Tensor>& parameters) {
        Random random(2, Purpose::test);
        Tensor weight = random_normal(Shape{40, shape[-1]}, random), bias = random_normal(Shape{40}, random);
        for (Tensor* p : {&weight, &bias})
          if (biased || p == &weight) p->set_requires_grad(true), parameters.push_back(*p);
        return ops::linear(x, weight, biased ? bias : Tensor{});
      };
      const Run half = run(DType::bfloat16, shape, body), single = run(DType::float32, shape, body);
      check_close(half, single);
    }
  CHECK(ops::linear(zeros({0, 8}, DType::bfloat16), ones({3, 8})).shape() == Shape{0, 3});
  CHECK_THROWS_WITH_AS(ops::linear(zeros({2, 8}, DType::bfloat16), ones({3, 8}, DType::bfloat16)), doctest::Contains("bfloat16"),
                       Error);
}

TEST_CASE("bfloat16: transposed convolutions, with strides, bias and groups") {
  for (const std::int64_t groups : {1, 2}) {
    CAPTURE(groups);
    const Body body = [groups](const Tensor& x, const Tensor&, std::vector<Tensor>& parameters) {
      Random random(2, Purpose::test);
      Tensor weight = random_normal(Shape{16, 4, 4, 24 / groups}, random), bias = random_normal(Shape{24}, random);
      for (Tensor* p : {&weight, &bias}) p->set_requires_grad(true), parameters.push_back(*p);
      return ops::conv_transpose2d(x, weight, bias, {.stride = 2, .padding = 1, .groups = groups});
    };
    const Shape shape{3, 7, 5, 16};
    const Run half = run(DType::bfloat16, shape, body), single = run(DType::float32, shape, body);
    check_close(half, single);
  }
}

TEST_CASE("bfloat16: resizing, up and down, and pixels from channels") {
  const Shape shape{2, 7, 5, 12};
  for (const ops::HW size : {ops::HW{14, 9}, ops::HW{3, 2}, ops::HW{1, 20}}) {
    const Body nearest = [size](const Tensor& x, const Tensor&, std::vector<Tensor>&) { return ops::resize_nearest(x, size); };
    const Body bilinear = [size](const Tensor& x, const Tensor&, std::vector<Tensor>&) { return ops::resize_bilinear(x, size); };
    for (const Body& body : {nearest, bilinear}) {
      const Run half = run(DType::bfloat16, shape, body), single = run(DType::float32, shape, body);
      CHECK(half.y.dtype() == DType::bfloat16);
      CHECK(half.dx.dtype() == DType::bfloat16);
      CHECK(apart(half.y, single.y) < 0.005);
      CHECK(apart(half.dx, single.dx) < 0.005);
    }
  }
  const Body shuffle = [](const Tensor& x, const Tensor&, std::vector<Tensor>&) { return ops::pixel_shuffle(x, 2); };
  CHECK(apart(run(DType::bfloat16, shape, shuffle).dx, run(DType::float32, shape, shuffle).dx) < 0.005);
}

TEST_CASE("bfloat16: products of two tensors, against float64 products of the same numbers") {
  struct Operands {
    Shape batch_a, batch_b;
    std::int64_t m, n, k;
  };
  const auto operand = [](Shape batch, std::int64_t rows, std::int64_t columns, std::uint64_t key) {
    Random random(key, Purpose::test);
    batch.push_back(rows);
    batch.push_back(columns);
    return random_normal(batch, random).to(DType::bfloat16);
  };
  for (const auto& o : std::vector<Operands>{{{}, {}, 48, 40, 64},
                                             {{}, {}, 5, 3, 7},
                                             {{}, {}, 1, 1, 1},
                                             {{}, {}, 130, 96, 300},
                                             {{6}, {6}, 33, 16, 8},
                                             {{4}, {}, 9, 24, 16},
                                             {{}, {3}, 16, 8, 32},
                                             {{2, 1}, {3}, 8, 8, 24},
                                             {{0}, {}, 2, 2, 3},
                                             {{}, {}, 0, 3, 2},
                                             {{}, {}, 2, 3, 0}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        CAPTURE(o.m);
        CAPTURE(o.n);
        CAPTURE(o.k);
        CAPTURE(ta);
        CAPTURE(tb);
        Tensor a = operand(o.batch_a, ta ? o.k : o.m, ta ? o.m : o.k, 1),
               b = operand(o.batch_b, tb ? o.n : o.k, tb ? o.k : o.n, 2);
        Tensor wide_a = a.to(DType::float64), wide_b = b.to(DType::float64);
        for (Tensor* t : {&a, &b, &wide_a, &wide_b}) t->set_requires_grad();
        const Tensor y = ops::matmul(a, b, ta, tb), wanted = ops::matmul(wide_a, wide_b, ta, tb);
        Random random(3, Purpose::test);
        const Tensor dy = random_normal(y.shape(), random).to(DType::bfloat16);
        backward(y, dy);
        backward(wanted, dy.to(DType::float64));
        const auto check = [](const Tensor& got, const Tensor& expected) {
          CHECK(got.dtype() == DType::bfloat16);
          REQUIRE(got.shape() == expected.shape());
          const auto g = got.to_vector<double>(), e = expected.to_vector<double>();
          double size = 0, worst = 0;
          for (const double v : e) size = std::max(size, std::abs(v));
          for (std::size_t i = 0; i < g.size(); ++i)  // half a unit of the last place, and what float32 sums lose
            worst = test::worse(worst, std::abs(g[i] - e[i]) - std::abs(e[i]) / 256);
          CHECK(worst <= 1e-5 * size);
        };
        check(y, wanted);
        check(a.grad(), wide_a.grad());
        check(b.grad(), wide_b.grad());
      }
  CHECK_THROWS_WITH_AS(ops::matmul(zeros({2, 2}, DType::bfloat16), zeros({2, 2})), doctest::Contains("one type"), Error);
}

TEST_CASE("bfloat16: small products in parallel have the same bits for any number of threads") {
  Random random(7, Purpose::test);
  const Tensor a = random_normal({29, 12, 40}, random).to(DType::bfloat16),
               b = random_normal({29, 20, 40}, random).to(DType::bfloat16);
  const int before = threads();
  std::vector<float> results[2];
  for (const int i : {0, 1}) {
    set_threads(i ? 3 : 1);
    results[i] = ops::matmul(a, b, false, true).to_vector<float>();
  }
  set_threads(before);
  CHECK(results[0] == results[1]);
}

TEST_CASE("bfloat16: attention") {
  const Body body = [](const Tensor& x, const Tensor&, std::vector<Tensor>&) { return ops::attention(x, 3); };
  const Shape shape{2, 77, 3 * 3 * 16};
  const Run half = run(DType::bfloat16, shape, body), single = run(DType::float32, shape, body);
  CHECK(half.y.dtype() == DType::bfloat16);
  CHECK(half.dx.dtype() == DType::bfloat16);
  CHECK(apart(half.y, single.y) < 0.01);
  CHECK(apart(half.dx, single.dx) < 0.01);
}

TEST_CASE("bfloat16: a layer norm that rounds its result, and a sum that does not") {
  Random random(3, Purpose::test);
  const Shape shape{3, 50, 24};
  const Tensor x = random_normal(shape, random), dy = random_normal(shape, random);
  const auto pass = [&](bool half) {
    Tensor input = x.clone(), gamma = random_normal({24}, random = Random(4, Purpose::test)), beta = random_normal({24}, random);
    for (Tensor* t : {&input, &gamma, &beta}) t->set_requires_grad(true);
    const Tensor branch = ops::layer_norm(input, gamma, beta, {.to_bfloat16 = half});
    CHECK(branch.dtype() == (half ? DType::bfloat16 : DType::float32));
    const Tensor y = input + branch;
    CHECK(y.dtype() == DType::float32);
    backward(y, dy);
    CHECK(input.grad().dtype() == DType::float32);
    return std::vector<Tensor>{y, input.grad(), gamma.grad(), beta.grad()};
  };
  const auto half = pass(true), single = pass(false);
  for (std::size_t i = 0; i < half.size(); ++i) CHECK(apart(half[i], single[i]) < 0.005);
  CHECK_THROWS_WITH_AS(x + zeros({24}, DType::bfloat16), doctest::Contains("one type"), Error);
}

TEST_CASE("bfloat16: pooling") {
  const Shape shape{3, 9, 8, 20};
  const Body average = [](const Tensor& x, const Tensor&, std::vector<Tensor>&) { return ops::global_avg_pool(x); };
  const Body maximum = [](const Tensor& x, const Tensor&, std::vector<Tensor>&) {
    return ops::max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1});
  };
  for (const Body& body : {average, maximum}) {
    const Run half = run(DType::bfloat16, shape, body), single = run(DType::float32, shape, body);
    CHECK(apart(half.y, single.y) < 0.01);
    CHECK(apart(half.dx, single.dx) < 0.1);  // two pixels that round to the same number are ranked by their place
  }
  CHECK(run(DType::bfloat16, shape, average).y.dtype() == DType::float32);  // means leave as float32
  CHECK(run(DType::bfloat16, shape, maximum).y.dtype() == DType::bfloat16);
}

TEST_CASE("bfloat16: gradients that meet are summed in float32") {
  const auto gradient = [](const Tensor& input, const std::function<Tensor(const Tensor&)>& f) {
    Tensor x = input.clone();
    x.set_requires_grad();
    const Tensor y = f(x);
    backward(y, ones(y.shape(), y.dtype()));
    CHECK(x.grad().dtype() == DType::bfloat16);
    return x.grad().to_vector<float>();
  };
  const Tensor index = zeros({1000}, DType::int64);
  const Tensor two = zeros({2}, DType::bfloat16);
  CHECK(gradient(two, [&](const Tensor& x) { return ops::index_select(x, index); }) == std::vector<float>{1000, 0});
  CHECK(gradient(two, [&](const Tensor& x) { return ops::gather(x, index, 0); }) == std::vector<float>{1000, 0});
  // One large pixel in the middle wins in all 31 x 31 windows (961, which is 960 in bfloat16).
  Tensor picture = zeros({1, 61, 61, 1}, DType::bfloat16);
  picture.mutable_data<bfloat16>()[30 * 61 + 30] = bfloat16(1.0f);
  const auto most = gradient(picture, [](const Tensor& x) { return ops::max_pool2d(x, {.kernel = 31, .stride = 1}); });
  CHECK(most[30 * 61 + 30] == 960);
  const auto mean = gradient(picture, [](const Tensor& x) { return ops::avg_pool2d(x, {.kernel = 31, .stride = 1}); });
  CHECK(mean[30 * 61 + 30] == 1);
}

TEST_CASE("bfloat16: float32 may be added from either side") {
  Random random(5, Purpose::test);
  Tensor wide = random_normal({3, 4}, random), narrow = random_normal({3, 4}, random).to(DType::bfloat16);
  wide.set_requires_grad();
  narrow.set_requires_grad();
  const Tensor y = narrow + wide;
  CHECK(y.dtype() == DType::float32);
  CHECK(y.to_vector<float>() == (wide + narrow).to_vector<float>());
  backward(y, ones({3, 4}));
  CHECK(wide.grad().dtype() == DType::float32);
  CHECK(narrow.grad().dtype() == DType::bfloat16);
}

TEST_CASE("bfloat16: an operand of the wrong type is refused") {
  Random random(3, Purpose::test);
  const Tensor x = ops::cast(random_normal(Shape{1, 4, 4, 8}, random), DType::bfloat16),
               w = random_normal(Shape{8, 3, 3, 8}, random);
  CHECK_THROWS_WITH_AS(ops::conv2d(x, ops::cast(w, DType::bfloat16)),
                       doctest::Contains("expected weight of type float32 for an input of type bfloat16"), Error);
  CHECK_THROWS_WITH_AS(ops::conv_transpose2d(x, ops::cast(w, DType::bfloat16)),
                       doctest::Contains("expected weight of type float32 for an input of type bfloat16"), Error);
  CHECK_THROWS_WITH_AS(ops::batch_norm(x, {.gamma = ones({8}, DType::bfloat16)}),
                       doctest::Contains("gamma of type float32 beside this input, got bfloat16"), Error);
}

TEST_CASE("bfloat16: a convolution's bias is added before the result is rounded") {
  const Tensor x = ones({1, 1, 1, 2}, DType::bfloat16);
  const Tensor w = from_vector<float>({1, 1, 1, 2}, {100, 0.30078125f}), bias = from_vector<float>({1}, {-100});
  CHECK(ops::conv2d(x, w, bias).to(DType::float32).item() == 0.30078125);
  // Also where Winograd's products would do the layer without a bias.
  const Tensor pictures = ones({2, 8, 8, 32}, DType::bfloat16), weights = full({32, 3, 3, 32}, 0.1259765625),
               shift = full({32}, -36);
  const Tensor y = ops::conv2d(pictures, weights, shift, {.padding = 1});
  const Tensor exact =
      ops::conv2d(pictures.to(DType::float64), weights.to(DType::float64), shift.to(DType::float64), {.padding = 1});
  CHECK(exact.data<double>()[(8 + 1) * 32] == 0.28125);  // of a pixel inside; the sum before it is 36.28125
  CHECK(y.to(DType::float64).to_vector<double>() == exact.to_vector<double>());
}
