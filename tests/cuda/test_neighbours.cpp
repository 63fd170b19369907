// Selection of the best k against a full sort.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "../../include/sslcake/kernels/cuda/neighbours.hpp"
#include "device.hpp"

using namespace cuda_test;
namespace {

/// `tile`: columns offered at a time. `levels` > 0: so many different similarities, that is, ties.
void compare(std::size_t rows, std::size_t n, std::size_t k, std::size_t tile, int levels, bool skip, bool rising = false) {
  CAPTURE(n);
  CAPTURE(k);
  CAPTURE(tile);
  CAPTURE(skip);
  auto s = normal(rows * n, static_cast<unsigned>(n + k));
  for (auto& x : s)
    if (levels > 0) x = std::round(x * static_cast<float>(levels) / 4) / static_cast<float>(levels);  // with -0 and 0
  if (rising)
    for (std::size_t i = 0; i < s.size(); ++i) s[i] = static_cast<float>(i % n);

  sslcake::kernels::cuda::Neighbours table;
  install(table);
  const OnGpu<std::int64_t> best(rows * k);
  const OnGpu<float> similarities(rows * k);
  constexpr std::int64_t first_query = 3;  // these rows are queries 3, 4, ...
  for (std::size_t first = 0; first < n; first += tile) {
    const std::size_t columns = std::min(tile, n - first);
    std::vector<float> piece(rows * tile, std::nanf(""));
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < columns; ++j) piece[i * tile + j] = s[i * n + first + j];
    const auto input = on_gpu(piece);
    table.offer(static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), static_cast<std::int64_t>(tile),
                input.data(), first_query, static_cast<std::int64_t>(first), skip, static_cast<std::int64_t>(k), first == 0,
                best.data());
  }
  table.unpack(static_cast<std::int64_t>(rows * k), best.data(), similarities.data());

  std::vector<std::int64_t> indices;
  std::vector<float> values;
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<std::pair<float, std::int64_t>> all;
    for (std::size_t j = 0; j < n; ++j)
      if (!skip || j != i + first_query) all.emplace_back(-s[i * n + j], static_cast<std::int64_t>(j));
    std::sort(all.begin(), all.end());
    for (std::size_t j = 0; j < k; ++j) indices.push_back(all[j].second), values.push_back(-all[j].first);
  }
  CHECK(best.values() == indices);
  CHECK(similarities.values() == values);
}

}  // namespace

TEST_CASE("Neighbours on the GPU: the best k, over one tile or several, with and without ties") {
  compare(3, 5000, 200, 5000, 0, false);
  compare(3, 3001, 200, 1100, 8, true);
  compare(2, 2500, 1, 1023, 16, false);
  compare(5, 17, 16, 5, 4, true);
  compare(1, 1, 1, 1, 0, false);
  compare(1, 2600, 1500, 1300, 0, false);
}
TEST_CASE("Neighbours on the GPU: when every column is better than those before") { compare(2, 6000, 33, 2048, 0, false, true); }
