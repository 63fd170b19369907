#include "fixture.hpp"

#include "sslcake/ops/conv.hpp"

using namespace sslcake;
using namespace op_test;
using ops::HW;

namespace {

HW pair(const FixtureCase& c, const char* key) { return {c.integer(key, 0), c.integer(key, 1)}; }
Tensor optional(const FixtureCase& c, const char* key) { return c.has(key) ? c[key] : Tensor{}; }

Function conv(const ops::ConvOptions& options) {
  return [=](const Tensors& x) { return ops::conv2d(x[0], x[1], x.size() > 2 ? x[2] : Tensor{}, options); };
}
Function transposed(const ops::ConvTransposeOptions& options) {
  return [=](const Tensors& x) { return ops::conv_transpose2d(x[0], x[1], x.size() > 2 ? x[2] : Tensor{}, options); };
}

}  // namespace

OP_CASE("conv2d") {
  gradcheck(conv({.padding = 1}), {random_input({2, 4, 4, 2}, 1), random_input({2, 3, 3, 2}, 2), random_input({2}, 3)});
  gradcheck(conv({.stride = 2, .padding = 1}), {random_input({1, 5, 7, 3}, 4), random_input({3, 3, 3, 3}, 5)});
  gradcheck(conv({.stride = {1, 2}, .padding = {2, 0}, .dilation = {2, 1}}),
            {random_input({1, 5, 6, 2}, 6), random_input({2, 3, 2, 2}, 7)});
  gradcheck(conv({.padding = 1, .groups = 2}),
            {random_input({2, 3, 3, 4}, 8), random_input({6, 3, 3, 2}, 9), random_input({6}, 10)});
  gradcheck(conv({.padding = 1, .groups = 3}), {random_input({1, 4, 3, 3}, 11), random_input({3, 3, 3, 1}, 12)});  // depthwise
  gradcheck(conv({}), {random_input({1, 1, 1, 1}, 13), random_input({1, 1, 1, 1}, 14), random_input({1}, 15)});
  gradcheck(conv({.padding = 1}), {random_input({0, 4, 4, 2}, 16), random_input({2, 3, 3, 2}, 17), random_input({2}, 18)});
  gradcheck(conv({}), {random_input({2, 3, 3, 2}, 19), random_input({0, 1, 1, 2}, 20)});
}

OP_CASE("conv_transpose2d") {
  gradcheck(transposed({.stride = 2, .padding = 1}),
            {random_input({2, 2, 3, 2}, 1), random_input({2, 4, 4, 2}, 2), random_input({2}, 3)});
  gradcheck(transposed({.stride = 2, .padding = 1, .output_padding = 1}),
            {random_input({1, 3, 3, 3}, 4), random_input({3, 3, 3, 1}, 5)});
  gradcheck(transposed({.stride = {1, 2}, .output_padding = {0, 1}, .dilation = {2, 1}}),
            {random_input({1, 3, 2, 2}, 6), random_input({2, 2, 3, 3}, 7)});
  gradcheck(transposed({.groups = 2}), {random_input({1, 2, 2, 4}, 8), random_input({4, 2, 2, 3}, 9), random_input({6}, 10)});
  gradcheck(transposed({}), {random_input({1, 1, 1, 1}, 11), random_input({1, 1, 1, 1}, 12)});
  gradcheck(transposed({}), {random_input({0, 3, 3, 2}, 13), random_input({2, 3, 3, 1}, 14), random_input({1}, 15)});
}

TEST_CASE("convolutions agree with PyTorch") {
  replay("conv", {{"conv2d",
                   [](const FixtureCase& c) {
                     return ops::conv2d(c["x"], c["w"], optional(c, "b"),
                                        {.stride = pair(c, "stride"),
                                         .padding = pair(c, "padding"),
                                         .dilation = pair(c, "dilation"),
                                         .groups = c.integer("groups")});
                   }},
                  {"conv_transpose2d", [](const FixtureCase& c) {
                     return ops::conv_transpose2d(c["x"], c["w"], optional(c, "b"),
                                                  {.stride = pair(c, "stride"),
                                                   .padding = pair(c, "padding"),
                                                   .output_padding = pair(c, "output_padding"),
                                                   .dilation = pair(c, "dilation"),
                                                   .groups = c.integer("groups")});
                   }}});
}

TEST_CASE("a transposed convolution undoes the shape of a convolution") {
  for (const std::int64_t stride : {1, 2, 3})
    for (std::int64_t size = 5; size < 9; ++size) {
      const Tensor x = zeros({1, size, size, 2}), w = zeros({3, 3, 3, 2});
      const Tensor y = ops::conv2d(x, w, {.stride = stride, .padding = 1});
      const std::int64_t extra = size - ((y.dim(1) - 1) * stride - 2 + 3);
      CHECK(ops::conv_transpose2d(y, w, {.stride = stride, .padding = 1, .output_padding = extra}).shape() == x.shape());
    }
}

TEST_CASE("convolutions say what does not fit") {
  const Tensor x = zeros({2, 8, 8, 4}), w = zeros({6, 3, 3, 4});
  check_error([&] { ops::conv2d(zeros({8, 8, 4}), w); }, {"[conv2d]", "(N,H,W,C)", "(8,8,4)"});
  check_error([&] { ops::conv2d(Tensor{}, w); }, {"[conv2d]", "undefined"});
  check_error([&] { ops::conv2d(x, Tensor{}); }, {"[conv2d]", "(O,KH,KW,C/groups)"});
  check_error([&] { ops::conv2d(x, zeros({6, 4, 3, 3})); }, {"[conv2d]", "C/groups = 4", "(6,4,3,3)"});  // PyTorch's layout
  check_error([&] { ops::conv2d(x, zeros({6, 3, 3, 4}, DType::float64)); }, {"[conv2d]", "float32", "float64"});
  check_error([&] { ops::conv2d(zeros({2, 8, 8, 4}, DType::int64), w); }, {"[conv2d]", "int64"});
  check_error([&] { ops::conv2d(x, w, zeros({5})); }, {"[conv2d]", "bias", "(6)", "(5)"});
  check_error([&] { ops::conv2d(x, w, {.stride = 0}); }, {"[conv2d]", "stride", "(0,0)"});
  check_error([&] { ops::conv2d(x, w, {.padding = {0, -1}}); }, {"[conv2d]", "padding", "(0,-1)"});
  check_error([&] { ops::conv2d(x, w, {.dilation = 0}); }, {"[conv2d]", "dilation"});
  check_error([&] { ops::conv2d(x, w, {.groups = 3}); }, {"[conv2d]", "groups", "3"});
  check_error([&] { ops::conv2d(x, zeros({6, 9, 9, 4})); }, {"[conv2d]", "at least as large as the kernel", "(2,8,8,4)"});
  check_error([&] { ops::conv2d(x, zeros({6, 0, 3, 4})); }, {"[conv2d]", "at least 1x1"});
  const Tensor t = zeros({4, 3, 3, 2});
  check_error([&] { ops::conv_transpose2d(x, w); }, {"[conv_transpose2d]", "I = 4", "(6,3,3,4)"});
  check_error([&] { ops::conv_transpose2d(x, t, {.output_padding = 1}); },
              {"[conv_transpose2d]", "output_padding", "below the stride"});
  check_error(
      [&] {
        ops::conv_transpose2d(zeros({1, 1, 1, 4}), t, {.padding = 2});
      },
      {"[conv_transpose2d]", "at least one pixel"});
  check_error([&] { ops::conv_transpose2d(x, t, zeros({4})); }, {"[conv_transpose2d]", "bias", "(2)"});
  check_error([&] { ops::conv_transpose2d(x, t, {.groups = 3}); }, {"[conv_transpose2d]", "groups"});
}

TEST_CASE("the gradient of a bias is not swallowed by its first row") {
  const std::int64_t rows = 100001;
  Tensor bias = zeros({1}).set_requires_grad();
  Tensor dy = full({1, rows, 1, 1}, 1e-4);
  dy.mutable_data<float>()[0] = 1e4f;
  backward(ops::conv2d(zeros({1, rows, 1, 1}), zeros({1, 1, 1, 1}), bias), dy);
  double sum = 0;
  for (const float v : dy.to_vector<float>()) sum += static_cast<double>(v);
  CHECK(bias.grad().to_vector<double>()[0] == doctest::Approx(sum).epsilon(1e-6));
}
