// Blue and orange points in the plane: the smallest thing that learns, and the seed of everything else in this library.
//
// Two spirals wind around each other, one blue, one orange. A classifier sees the two coordinates of a point and says how
// blue it is. It starts knowing nothing and is taught by gradient descent:
//
//   1. forward    compute the answers, and one number, the loss: how wrong they are
//   2. backward   for every weight, the derivative of the loss: which way is wronger, and how steeply
//   3. step       move every weight a little the other way: w <- w - lr · dL/dw
//
// Encoders with a million weights, trained on photographs without labels, do the same three things. The program teaches two
// classifiers: a linear one, which can only cut the plane with a straight line, and a network with two hidden layers, which
// bends the plane first. It prints how many points that they have never seen they name rightly, and draws what they think of
// every spot of the plane:
//
//   dots --out runs/dots        writes runs/dots/linear.png and runs/dots/network.png
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <vector>

#include <sslcake/autograd/tape.hpp>
#include <sslcake/core/random.hpp>
#include <sslcake/image/png.hpp>
#include <sslcake/ops/losses.hpp>
#include <sslcake/ops/matmul.hpp>
#include <sslcake/ops/pointwise.hpp>
#include <sslcake/ops/reduce.hpp>

#include "support/program.hpp"

namespace ssl = sslcake;
using ssl::Tensor;

/// Points with their colours.
struct Points {
  Tensor xy;      // (N,2) float32, roughly in [-1, 1]
  Tensor colour;  // (N) int64: 0 orange, 1 blue
};

/// Draws n points of the two spirals. Every random number in the library has coordinates (seed, purpose, epoch, ...) instead
/// of a hidden state; "epoch" 0 is for teaching and 1 for testing, so that the two sets never share a point.
Points spirals(std::int64_t n, std::uint64_t seed, std::uint64_t part) {
  ssl::Random random(seed, ssl::Purpose::dataset, part);
  std::vector<float> xy;
  std::vector<std::int64_t> colour;
  for (std::int64_t i = 0; i < n; ++i) {
    const float along = std::sqrt(random.uniform(0.02f, 1.0f));  // 0: the centre, 1: the end; the root evens out the density
    const float angle = std::numbers::pi_v<float> * (2.5f * along + static_cast<float>(i % 2));  // the other spiral: half a turn
    xy.push_back(along * std::cos(angle) + 0.05f * random.normal());
    xy.push_back(along * std::sin(angle) + 0.05f * random.normal());
    colour.push_back(i % 2);
  }
  return {ssl::from_vector({n, 2}, xy), ssl::from_vector({n}, colour)};
}

/// A stack of layers x -> x Wᵀ + b with tanh between them: widths {2, 2} is the linear classifier, {2, 24, 24, 2} the network.
/// The last layer gives two numbers per point, the logits; the larger one wins.
struct Classifier {
  std::vector<Tensor> weights, biases;

  Classifier(const std::vector<std::int64_t>& widths, std::uint64_t seed) {
    for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
      // Random, or all units of a layer would be alike for ever; divided by the root of the number of inputs, so that sums
      // of many of them are neither tiny nor huge.
      ssl::Random random(seed, ssl::Purpose::init, i);
      weights.push_back(ssl::random_normal({widths[i + 1], widths[i]}, random, 0, 1 / std::sqrt(static_cast<double>(widths[i]))));
      biases.push_back(ssl::zeros({widths[i + 1]}));
      // This makes a tensor a leaf of the tape: a quantity whose derivative we want.
      weights.back().set_requires_grad();
      biases.back().set_requires_grad();
    }
  }

  Tensor logits(Tensor x) const {  // (N,2) -> (N,2)
    for (std::size_t i = 0; i < weights.size(); ++i) {
      x = ssl::ops::linear(x, weights[i], biases[i]);
      // Without a nonlinearity, layers in a row would be one layer: a product of matrices is a matrix.
      if (i + 1 < weights.size()) x = ssl::ops::tanh(x);
    }
    return x;
  }

  double accuracy(const Points& points) const {
    const ssl::NoGrad only_looking;  // nothing is recorded on the tape
    const auto said = ssl::ops::argmax(logits(points.xy)).to_vector<std::int64_t>();
    const auto true_colour = points.colour.to_vector<std::int64_t>();
    double right = 0;
    for (std::size_t i = 0; i < said.size(); ++i) right += said[i] == true_colour[i];
    return right / static_cast<double>(said.size());
  }
};

/// w <- w - lr · dL/dw
void descend(Tensor& w, double lr) {
  float* value = w.mutable_data<float>();
  const Tensor grad = w.grad();
  const float* slope = grad.data<float>();
  for (std::int64_t i = 0; i < w.numel(); ++i) value[i] -= static_cast<float>(lr) * slope[i];
  w.clear_grad();  // gradients add up until they are cleared
}

/// Gradient descent on all points at once.
void teach(Classifier& c, const Points& points, std::int64_t steps, double lr) {
  for (std::int64_t step = 1; step <= steps; ++step) {
    // Cross-entropy: minus the logarithm of the probability that the classifier gives the true colour. Guessing: log 2.
    const Tensor loss = ssl::ops::cross_entropy(c.logits(points.xy), points.colour);  // forward
    ssl::backward(loss);                                                              // backward
    for (auto& w : c.weights) descend(w, lr);                                         // step
    for (auto& b : c.biases) descend(b, lr);
    if (step == 1 || step % std::max<std::int64_t>(1, steps / 5) == 0)
      std::printf("  step %6lld  loss %.4f\n", static_cast<long long>(step), loss.item());
  }
}

/// Every pixel in the colour that the classifier gives to its place, the paler the less sure; the points on top.
ssl::image::Image draw(const Classifier& c, const Points& points) {
  constexpr int side = 480;
  constexpr float reach = 1.25f;  // the picture shows [-reach, reach]²
  constexpr float orange[] = {240, 140, 40}, blue[] = {50, 110, 215}, white[] = {250, 250, 250};
  std::vector<float> places;
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      places.push_back(reach * (2.0f * (static_cast<float>(x) + 0.5f) / side - 1));
      places.push_back(reach * (1 - 2.0f * (static_cast<float>(y) + 0.5f) / side));
    }
  const ssl::NoGrad only_looking;
  const auto logits = c.logits(ssl::from_vector({side * side, 2}, places)).to_vector<float>();
  ssl::image::Image picture(side, side);
  for (std::size_t i = 0; i < side * side; ++i) {
    const float blueness = 1 / (1 + std::exp(logits[2 * i] - logits[2 * i + 1]));  // softmax of two
    const float sureness = 0.55f * std::fabs(2 * blueness - 1);
    const float* winner = blueness > 0.5f ? blue : orange;
    for (std::size_t k = 0; k < 3; ++k)
      picture.pixels[3 * i + k] = static_cast<std::uint8_t>(white[k] + sureness * (winner[k] - white[k]));
  }
  const auto xy = points.xy.to_vector<float>();
  const auto colours = points.colour.to_vector<std::int64_t>();
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const float px = (xy[2 * i] / reach + 1) / 2 * side, py = (1 - xy[2 * i + 1] / reach) / 2 * side;
    for (int y = static_cast<int>(py) - 4; y <= static_cast<int>(py) + 4; ++y)
      for (int x = static_cast<int>(px) - 4; x <= static_cast<int>(px) + 4; ++x) {
        const float distance = std::hypot(static_cast<float>(x) - px, static_cast<float>(y) - py);
        if (distance > 3.6f || x < 0 || y < 0 || x >= side || y >= side) continue;
        for (int k = 0; k < 3; ++k)  // a white rim keeps a point visible on its own colour
          picture.at(x, y)[k] = static_cast<std::uint8_t>((distance > 2.7f ? white : colours[i] ? blue : orange)[k]);
      }
  }
  return picture;
}

int main(int argc, char** argv) {
  support::Options options{.program = "dots",
                           .about = "Teaches two classifiers to tell blue from orange points in the plane, and draws them.",
                           .out = "runs/dots", .epochs = 3000, .lr = 0.5};
  options.unused = {"--data", "--encoder", "--batch", "--optimizer", "--device", "--limit", "--size", "--workers", "--strict",
                    "--resume", "--precision", "--scaled-decode"};
  return support::main_guard(argc, argv, options, [&] {
    const Points taught = spirals(400, options.seed, 0), unseen = spirals(1000, options.seed, 1);
    struct Pupil {
      const char* name;
      std::vector<std::int64_t> widths;
      double accuracy = 0;
    };
    Pupil pupils[] = {{"linear", {2, 2}}, {"network", {2, 24, 24, 2}}};
    support::prepare_out(options, {"linear.png", "network.png"});
    support::save_config_of_use(options);
    for (auto& p : pupils) {
      std::printf("%s\n", p.name);
      Classifier classifier(p.widths, options.seed);
      teach(classifier, taught, options.epochs, options.lr);
      p.accuracy = classifier.accuracy(unseen);
      ssl::image::save_png(options.out + "/" + p.name + ".png", draw(classifier, taught));
    }
    std::printf("\nright on 1000 points not seen in teaching\n");
    for (const auto& p : pupils) std::printf("  %-8s %s\n", p.name, support::percent(p.accuracy).c_str());
    std::printf("\npictures in %s\n", options.out.c_str());
  });
}
