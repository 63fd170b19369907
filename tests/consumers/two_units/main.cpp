// Tensors made here go through both units and come back.
#include <sslcake/sslcake.hpp>

#include <cmath>
#include <cstdio>

sslcake::Tensor FIRST(const sslcake::Tensor&, const sslcake::Tensor&);
sslcake::Tensor SECOND(const sslcake::Tensor&, const sslcake::Tensor&);

int main() {
  sslcake::Random random(1, sslcake::Purpose::test);
  const auto a = sslcake::random_normal({33, 65}, random), b = sslcake::random_normal({65, 17}, random);
  const auto first = FIRST(a, b).to_vector<double>(), second = SECOND(a, b).to_vector<double>();
  double worst = 0, direct = 0;
  for (int k = 0; k < 65; ++k) direct += double(a.data<float>()[k]) * double(b.data<float>()[k * 17]);
  for (std::size_t i = 0; i < first.size(); ++i) worst = std::fmax(worst, std::fabs(first[i] - second[i]));
  std::printf("the units differ by %g, the first element by %g\n", worst, std::fabs(first[0] - direct));
  return first.size() == 33 * 17 && worst < 1e-4 && std::fabs(first[0] - direct) < 1e-4 ? 0 : 1;
}
