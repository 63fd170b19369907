#include <doctest/doctest.h>

#include <limits>

#include "reference.hpp"
#include "sslcake/core/threads.hpp"
#include "sslcake/optim/clip.hpp"

using namespace sslcake;

TEST_CASE("the norm and the clipped gradients are PyTorch's") {
  const auto lines = reference("clip");
  for (std::size_t i = 0; i < 2; ++i) {
    Parameters p{start("weight", {3, 4}), start("bias", {5}), start("idle", {7})};
    for (std::size_t k = 0; k < 2; ++k) p[k].tensor.set_grad(gradient(p[k].tensor, 0));
    const double norm = optim::clip_grad_norm(p, i == 0 ? 0.5 : 100.0);
    CHECK(norm == doctest::Approx(lines[i][0]).epsilon(1e-6));
    Parameters grads{p[0], p[1]};
    for (auto& g : grads) g.tensor = g.tensor.grad();
    check_close(grads, {lines[i].begin() + 1, lines[i].end()}, 1e-6);
    CHECK(optim::grad_norm(p) == doctest::Approx(i == 0 ? 0.5 : norm).epsilon(1e-5));
  }
}

TEST_CASE("a norm that is not finite comes back, and the gradients stay") {
  Parameter p = start("weight", {3});
  p.tensor.set_grad(from_vector<float>({3}, {1, std::numeric_limits<float>::quiet_NaN(), 2}));
  CHECK(std::isnan(optim::clip_grad_norm({p}, 0.1)));
  CHECK(p.tensor.grad().data<float>()[2] == 2);
  CHECK_THROWS_AS(optim::clip_grad_norm({p}, 0), Error);
  CHECK_THROWS_AS(optim::clip_grad_norm({p}, std::numeric_limits<double>::quiet_NaN()), Error);
}

TEST_CASE("the same bits for any number of threads") {
  double norms[2];
  for (int run = 0; run < 2; ++run) {
    set_threads(run == 0 ? 1 : 3);
    Parameter p = start("weight", {500, 301});
    p.tensor.set_grad(gradient(p.tensor, 1));
    norms[run] = optim::grad_norm({p});
  }
  set_threads(0);
  CHECK(norms[0] == norms[1]);
}
