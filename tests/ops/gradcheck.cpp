#include "gradcheck.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "sslcake/core/threads.hpp"

namespace op_test {

using namespace sslcake;

std::vector<OpCase>& op_cases() {
  static std::vector<OpCase> cases;
  return cases;
}

namespace {

ShapeKinds* looking = nullptr;  // set while shape_kinds_of runs a case
DeviceReport* comparing = nullptr;  // set while compare_devices does
Device compared_device = Device::cuda;

void look_at(const Shape& s, ShapeKinds& kinds) {
  if (s.numel() == 0) kinds.empty = true;
  if (s.numel() > 1) kinds.ordinary = true;
  if (s.rank() == 0) kinds.one = true;
  for (const auto e : s) {
    if (e == 1) kinds.one = true;
    if (e > 1 && e % 2 == 1) kinds.odd = true;
  }
}

bool differentiable(const Tensor& t) { return t.defined() && t.dtype() == DType::float64; }

/// Fresh copies, so that nothing a call does to its inputs is seen by the next. only >= 0: just that one wants a gradient.
Tensors copies(const Tensors& inputs, bool wanted, int only = -1) {
  Tensors out;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    out.push_back(inputs[i].clone());
    if (wanted && differentiable(inputs[i]) && (only < 0 || only == static_cast<int>(i))) out.back().set_requires_grad();
  }
  return out;
}

double projected(const Function& fn, const Tensors& inputs, const Tensor& w) {
  const NoGrad no_grad;
  const auto y = fn(inputs).to_vector<double>();
  const auto weights = w.to_vector<double>();
  // Compensated (Kahan): the difference of two such sums is divided by 2e-6.
  double sum = 0, lost = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double term = y[i] * weights[i] - lost, next = sum + term;
    lost = (next - sum) - term;
    sum = next;
  }
  return sum;
}

}  // namespace

ShapeKinds shape_kinds_of(const OpCase& c) {
  ShapeKinds kinds;
  looking = &kinds;
  c.run();
  looking = nullptr;
  return kinds;
}

namespace {

/// Where `found` is further from `wanted` than `tolerance`, of each number and of the largest: in words; empty if nowhere.
std::string difference(const Tensor& found, const Tensor& wanted, double tolerance) {
  if (!(found.shape() == wanted.shape())) return concat("shape ", found.shape(), ", expected ", wanted.shape());
  const auto a = found.to_vector<double>(), b = wanted.to_vector<double>();
  double largest = 0;
  for (const double v : b)
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    if (!(std::abs(a[i] - b[i]) <= 1e-6 + tolerance * (std::abs(b[i]) + largest)))
      return concat("element ", i, " is ", a[i], ", expected ", b[i], " (the largest is ", largest, ")");
  }
  return "";
}

/// The inputs with their float64 numbers rounded to `rounding`, kept as `kept`, on a device.
Tensors prepared(const Tensors& inputs, DType rounding, DType kept, Device device) {
  Tensors out;
  for (const auto& t : inputs) {
    Tensor copy = differentiable(t) ? t.to(rounding).to(kept) : t.defined() ? t.clone() : Tensor{};
    if (copy.defined() && device != Device::cpu) copy = copy.to(device);
    if (differentiable(t)) copy.set_requires_grad();
    out.push_back(copy);
  }
  return out;
}

struct Ran {
  Tensor result;
  Tensors grads;
};
Ran run(const Function& fn, const Tensors& inputs) {
  Ran ran;
  ran.result = fn(inputs);
  if (!ran.result.requires_grad()) return ran;
  backward(ran.result, random_input(ran.result.shape(), 0x5eed).to(ran.result.dtype()).to(ran.result.device()));
  for (const auto& t : inputs) ran.grads.push_back(t.requires_grad() ? t.grad() : Tensor{});
  return ran;
}

void compare(const Function& fn, const Tensors& inputs, DType rounding, DType reference, double tolerance) {
  Ran wanted, found;
  try {
    wanted = run(fn, prepared(inputs, rounding, reference, Device::cpu));
  } catch (const Error&) {
    if (rounding == DType::bfloat16) return;  // not a type of this op
    throw;
  }
  const auto problem = [&](const std::string& what) {
    std::string shapes;
    for (const auto& t : inputs) shapes += t.defined() ? t.shape().str() + " " : "- ";
    comparing->problems.push_back(concat(name_of(rounding), ", inputs ", shapes, ": ", what));
  };
  try {
    found = run(fn, prepared(inputs, rounding, rounding, compared_device));
  } catch (const std::exception& e) {
    const std::string text = e.what();
    if (text.find("float64 is not on") != std::string::npos) return;  // a case that asks for that type
    if (wanted.result.numel() == 0 && rounding == DType::bfloat16) return;  // empty: the CPU did not come to look at the type
    return problem(text);
  }
  ++(rounding == DType::bfloat16 ? comparing->compared_bfloat16 : comparing->compared);
  if (found.result.device() != compared_device) problem("the result is on the CPU");
  if (const auto d = difference(found.result, wanted.result, tolerance); !d.empty()) problem("result: " + d);
  for (std::size_t i = 0; i < wanted.grads.size(); ++i) {
    if (wanted.grads[i].defined() != found.grads[i].defined()) {
      problem(concat("gradient of input ", i, " is missing or too many"));
      continue;
    }
    if (!wanted.grads[i].defined()) continue;
    if (const auto d = difference(found.grads[i], wanted.grads[i], tolerance); !d.empty())
      problem(concat("gradient of input ", i, ": ", d));
  }
}

}  // namespace

DeviceReport compare_devices(const OpCase& c, Device device) {
  DeviceReport report;
  comparing = &report;
  compared_device = device;
  c.run();
  comparing = nullptr;
  return report;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.shape() == b.shape() && a.dtype() == b.dtype() && (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

std::vector<std::string> gradient_problems(const Function& fn, const Tensors& inputs, const GradcheckOptions& options) {
  std::vector<std::string> problems;
  const auto problem = [&](const auto&... parts) { problems.push_back(concat(parts...)); };

  Tensors x = copies(inputs, true);
  Tensor y = fn(x);
  if (y.dtype() != DType::float64 || !y.requires_grad()) {
    problem("the result is not a float64 tensor that is linked to the tape");
    return problems;
  }
  const Tensor w = random_input(y.shape(), 0x5eed);
  backward(y, w);

  const int n = static_cast<int>(inputs.size());
  for (int i = 0; i < n; ++i) {
    if (!differentiable(inputs[i])) continue;
    const Tensor grad = x[i].grad();
    if (!grad.defined() || !(grad.shape() == inputs[i].shape()) || grad.dtype() != DType::float64) {
      problem("input ", i, " got no gradient of its shape and type");
      return problems;
    }
    const auto analytic = grad.to_vector<double>();
    Tensors moved = copies(inputs, false);
    std::int64_t wrong = 0;
    for (std::int64_t j = 0; j < inputs[i].numel(); ++j) {
      const double before = inputs[i].data<double>()[j];
      moved[i].mutable_data<double>()[j] = before + options.eps;
      const double above = projected(fn, moved, w);
      moved[i].mutable_data<double>()[j] = before - options.eps;
      const double below = projected(fn, moved, w);
      moved[i].mutable_data<double>()[j] = before;
      const double numeric = (above - below) / (2 * options.eps), found = analytic[static_cast<std::size_t>(j)];
      const bool close = std::abs(found - numeric) <= options.atol + options.rtol * std::abs(numeric);  // false for NaN
      if (!close && wrong++ < 3)
        problem("wrong gradient of input ", i, " at element ", j, ": ", found, ", central difference ", numeric);
    }
    if (wrong > 3) problem("wrong gradient of input ", i, " at ", wrong, " elements of ", inputs[i].numel());
  }

  {  // the same bits again, whatever the number of threads
    const int before = threads();
    set_threads(before == 3 ? 2 : 3);
    Tensors again = copies(inputs, true);
    Tensor result = fn(again);
    backward(result, w);
    set_threads(before);
    if (!same_bits(result, y)) problem("a second call gave another result");
    for (int i = 0; i < n; ++i)
      if (differentiable(inputs[i]) && !same_bits(again[i].grad(), x[i].grad()))
        problem("a second call gave another gradient of input ", i);
  }

  for (int only = 0; n > 1 && only < n; ++only) {  // one at a time
    if (!differentiable(inputs[only])) continue;
    Tensors alone = copies(inputs, true, only);
    backward(fn(alone), w);
    if (!same_bits(alone[only].grad(), x[only].grad())) problem("another gradient of input ", only, " when no other is wanted");
  }

  {  // added to what is there
    Tensors filled = copies(inputs, true);
    for (auto& t : filled)
      if (t.requires_grad()) t.set_grad(full(t.shape(), 0.75, DType::float64));
    backward(fn(filled), w);
    for (int i = 0; i < n; ++i) {
      if (!differentiable(inputs[i])) continue;
      const auto sum = filled[i].grad().to_vector<double>(), part = x[i].grad().to_vector<double>();
      bool added = true;
      for (std::size_t j = 0; j < sum.size(); ++j)
        added &= std::abs(sum[j] - (0.75 + part[j])) <= 1e-12 * (1 + std::abs(part[j]));
      if (!added) problem("the gradient of input ", i, " was not added to the gradient that was there");
    }
  }

  // Overwrite an input (or, last, the result) between forward and backward: either that is noticed, or it had no influence.
  for (int changed = 0; changed <= n; ++changed) {
    Tensors spoiled = copies(inputs, true);
    Tensor result = fn(spoiled);
    Tensor victim = changed < n ? spoiled[changed] : result;
    if (!victim.defined() || victim.numel() == 0) continue;
    std::memset(victim.mutable_raw(), 0x3c, victim.bytes());
    try {
      backward(result, w);
    } catch (const Error& error) {
      if (std::string(error.what()).find("changed in place") == std::string::npos) throw;
      continue;
    }
    for (int i = 0; i < n; ++i)
      if (differentiable(inputs[i]) && !same_bits(spoiled[i].grad(), x[i].grad()))
        problem("wrong gradient of input ", i, " after ", changed < n ? concat("input ", changed) : std::string("the result"),
                " was changed in place");
  }

  const NoGrad no_grad;
  if (fn(copies(inputs, true)).requires_grad()) problem("recorded under NoGrad");
  return problems;
}

void gradcheck(const Function& fn, const Tensors& inputs, const GradcheckOptions& options) {
  if (looking) {
    for (const auto& t : inputs)
      if (differentiable(t)) look_at(t.shape(), *looking);
    return;
  }
  if (comparing) {
    compare(fn, inputs, DType::float32, DType::float64, 2e-5);
    compare(fn, inputs, DType::bfloat16, DType::bfloat16, 1.0 / 64);
    return;
  }
  std::string message = "inputs";
  for (const auto& t : inputs) message += " " + t.shape().str();
  const auto problems = gradient_problems(fn, inputs, options);
  for (const auto& p : problems) message += "; " + p;
  CHECK_MESSAGE(problems.empty(), message);
}

Tensor random_input(const Shape& shape, std::uint64_t key, double low, double high, const std::vector<double>& kinks) {
  Random random(0, Purpose::test, 0, key);
  Tensor t(shape, DType::float64);
  double* p = t.mutable_data<double>();
  for (std::int64_t i = 0, n = t.numel(); i < n; ++i) {
    p[i] = low + (high - low) * random.uniform64();
    for (const double kink : kinks)
      if (std::abs(p[i] - kink) < 0.01) p[i] = kink + (p[i] < kink ? -0.02 : 0.02);
  }
  return t;
}

Tensor distinct_input(const Shape& shape, std::uint64_t key) {
  Random random(0, Purpose::test, 1, key);
  Tensor t(shape, DType::float64);
  double* p = t.mutable_data<double>();
  const std::int64_t n = t.numel();
  for (std::int64_t i = 0; i < n; ++i) {  // Fisher-Yates, inside out
    const auto j = static_cast<std::int64_t>(random.below(static_cast<std::uint32_t>(i + 1)));
    p[i] = p[j];
    p[j] = (2.0 * static_cast<double>(i) + 1.0) / static_cast<double>(n) - 1.0;
  }
  return t;
}

Tensor random_integers(const Shape& shape, std::int64_t low, std::int64_t high, std::uint64_t key) {
  Random random(0, Purpose::test, 2, key);
  Tensor t(shape, DType::int64);
  auto* p = t.mutable_data<std::int64_t>();
  for (std::int64_t i = 0, n = t.numel(); i < n; ++i) p[i] = low + random.below(static_cast<std::uint32_t>(high - low));
  return t;
}

void check_error(const std::function<void()>& call, const std::vector<std::string>& words) {
  try {
    call();
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const auto& word : words)
      CHECK_MESSAGE(message.find(word) != std::string::npos, "expected \"", word, "\" in: ", message);
    return;
  }
  FAIL_CHECK("expected an Error");
}

void check_close(const Tensor& a, const Tensor& b, double rtol, double atol, const std::string& what) {
  REQUIRE_MESSAGE(a.shape() == b.shape(), what, ": shapes ", a.shape().str(), " and ", b.shape().str());
  const auto p = a.to_vector<double>(), q = b.to_vector<double>();
  double worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] == q[i] || (std::isnan(p[i]) && std::isnan(q[i]))) continue;
    double excess = std::abs(p[i] - q[i]) / (atol + rtol * std::abs(q[i]));
    if (!(excess < std::numeric_limits<double>::infinity())) excess = std::numeric_limits<double>::max();
    if (excess > worst) { worst = excess; at = i; }
  }
  CHECK_MESSAGE(worst <= 1, what, ": element ", at, " is ", p[at], ", expected ", q[at]);
}

}  // namespace op_test
