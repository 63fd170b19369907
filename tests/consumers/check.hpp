// What the consumers do with the library: enough to need its headers, its bodies and its threads.
#pragma once

#include <sslcake/sslcake.hpp>

#include <cstdio>
#include <stdexcept>

inline void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

/// A vector of numbers is moved by gradient descent until its squared distance from the target is small.
inline double descend() {
  namespace ssl = sslcake;
  ssl::seed(7);
  ssl::Random random(ssl::global_seed(), ssl::Purpose::test);
  const ssl::Tensor target = ssl::random_normal({4, 8}, random);
  ssl::Tensor x = ssl::zeros({4, 8});
  x.set_requires_grad();
  double loss = 0;
  for (int step = 0; step < 50; ++step) {
    const ssl::Tensor l = ssl::ops::mse_loss(x, target);
    loss = l.item();
    x.clear_grad();
    ssl::backward(l);
    float* p = x.mutable_data<float>();
    const ssl::Tensor g = x.grad();
    for (std::int64_t i = 0; i < x.numel(); ++i) p[i] -= 4 * g.data<float>()[i];
  }
  return loss;
}

/// The largest difference between a float64 product, which the reference kernels compute, and the sums written out.
inline double product_error() {
  namespace ssl = sslcake;
  ssl::Random random(7, ssl::Purpose::test);
  const ssl::Tensor a = ssl::random_normal({3, 5}, random).to(ssl::DType::float64),
                    b = ssl::random_normal({5, 4}, random).to(ssl::DType::float64);
  const ssl::Tensor c = ssl::ops::matmul(a, b);
  double worst = 0;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) {
      double sum = 0;
      for (int k = 0; k < 5; ++k) sum += a.data<double>()[5 * i + k] * b.data<double>()[4 * k + j];
      const double difference = sum - c.data<double>()[4 * i + j];
      worst = difference > worst ? difference : -difference > worst ? -difference : worst;
    }
  return worst;
}

inline int check() try {
  require(sslcake::threads() >= 1, "expected at least one thread");
  require(descend() < 1e-6, "expected the loss to fall");
  require(product_error() < 1e-14, "expected the float64 product to be the sum of products");
  bool refused = false;
  try {
    sslcake::ops::mse_loss(sslcake::zeros({2}), sslcake::zeros({3, 5}));
  } catch (const sslcake::Error&) {
    refused = true;
  }
  require(refused, "expected an Error for shapes that do not fit");
  std::printf("sslcake %s works\n", SSLCAKE_VERSION_STRING);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
