// The geometry of tiles of pixels: every result in one block, every source where its tap looks for it, groups of images that
// waste little.
#include <doctest/doctest.h>

#include <sslcake/kernels/cpu/row_plan.hpp>

#include <set>

#include "bfloat16_cases.hpp"

using namespace test;
using sslcake::kernels::detail::Correlation;
using sslcake::kernels::detail::RowPlan;
namespace detail = sslcake::kernels::detail;

namespace {

/// Walks over all parts as the kernels do, with pixels for numbers.
void check(const Correlation& c, const RowPlan::Limits& limits) {
  const RowPlan plan(c, limits);
  std::set<std::int64_t> results;
  std::int64_t pixels = 0;
  bool right = true;
  for (std::int64_t index = 0; index < plan.parts(); ++index) {
    const RowPlan::Part part = plan.part(index);
    REQUIRE(part.blocks() <= plan.most_blocks());
    // The buffer as a kernel fills it: numbers of pixels, -1 where they would be zero, -2 where nothing is written.
    std::vector<std::int64_t> buffer(static_cast<std::size_t>(plan.buffer_elements()), -2);
    for (std::int64_t r = 0; r < plan.buffer_rows(part); ++r)
      for (std::int64_t slot = 0; slot < plan.slots() && plan.source_row(part, r) >= 0; ++slot)
        for (std::int64_t e = 0; e < plan.pitch(); ++e)
          buffer.at(static_cast<std::size_t>((r * plan.slots() + slot) * plan.pitch() + e)) =
              plan.pixel(part, plan.source_row(part, r), slot, e);
    std::vector<std::int64_t> at(static_cast<std::size_t>((part.block_end - part.block_begin) * RowPlan::block));
    plan.results(part, at.data());
    for (std::int64_t p = part.row_begin; p < part.row_end; ++p)
      for (std::int64_t b = part.block_begin; b < part.block_end; ++b)
        for (std::int64_t e = 0; e < RowPlan::block; ++e) {
          const std::int64_t to = at[static_cast<std::size_t>((b - part.block_begin) * RowPlan::block + e)];
          right = right && (to < 0 || e < plan.elements(b));
          if (to >= 0) right = right && results.insert(plan.result_row(part, p) + to).second, ++pixels;
          for (std::size_t t = 0; t < c.taps.size(); ++t) {
            if (limits.paired) right = right && plan.shift(t) % 2 == 0 && plan.begin(part, p, b) % 2 == 0;
            const std::int64_t element = (b * RowPlan::block + e), column = element / plan.group(),
                               image = part.image + element % plan.group();
            const std::int64_t i = p * c.step_h + c.taps[t].down, j = column * c.step_w + c.taps[t].right;
            const bool sees = image < c.images && i >= 0 && i < c.height && j >= 0 && j < c.width;
            if (!plan.inside(t, p, b)) {
              right = right && (to < 0 || !sees);
              continue;
            }
            const std::int64_t found = buffer.at(static_cast<std::size_t>(plan.begin(part, p, b) + plan.shift(t) + e));
            right = right && found == (sees ? (image * c.height + i) * c.width + j : -1);
          }
        }
  }
  CHECK(right);
  CHECK(pixels == c.images * c.rows * c.columns);
}

}  // namespace

TEST_CASE("row plan: every result once, every source in its place, for random shapes") {
  sslcake::Random random(1, sslcake::Purpose::test);
  for (int round = 0; round < 120; ++round) {
    ConvShape s{.n = between(random, 0, 40), .h = between(random, 1, 9), .w = between(random, 1, 40), .c = 8, .o = 8,
                .kh = between(random, 1, 3), .kw = between(random, 1, 3)};
    s.stride_h = between(random, 1, 3), s.stride_w = between(random, 1, 3), s.pad_h = between(random, 0, 2),
    s.pad_w = between(random, 0, 2);
    s.dilation_h = between(random, 1, 2), s.dilation_w = between(random, 1, 2);
    CAPTURE(described(s));
    // Few channels make parts of many rows; many make pieces of one.
    const std::int64_t channels = random.chance(0.5f) ? 32 : 4096;
    std::vector<Correlation> all = detail::input_grad_correlations(s);
    all.push_back(detail::forward_correlation(s, false));
    all.push_back(detail::flattened(all.back()));
    for (const Correlation& c : all)
      for (const bool paired : {false, true})
        check(c, {.channels = channels, .blocks = between(random, 1, 32), .paired = paired});
  }
}

TEST_CASE("row plan: as many images to a group as fill the blocks, and no more") {
  const auto group = [](std::int64_t n, std::int64_t side, std::int64_t kernel, bool paired = false) {
    const ConvShape s{
        .n = n, .h = side, .w = side, .c = 64, .o = 64, .kh = kernel, .kw = kernel, .pad_h = kernel / 2, .pad_w = kernel / 2};
    return RowPlan(detail::forward_correlation(s, false), {.channels = 64, .paired = paired}).group();
  };
  CHECK(group(64, 32, 3) == 1);
  CHECK(group(64, 32, 3, true) == 2);  // pairs of images
  CHECK(group(64, 32, 1, true) == 1);  // or of neighbours, where no tap parts them
  CHECK(group(64, 16, 3) == 2);
  CHECK(group(64, 8, 3) == 4);
  CHECK(group(64, 4, 3) == 32);  // so that padding is left out
  CHECK(group(64, 7, 3) == 32);
  CHECK(group(1, 4, 3) == 1);
}

TEST_CASE("row plan: patches for few channels, one row for dense 1x1 kernels") {
  const auto takes = [](std::int64_t c, std::int64_t kernel) {
    return detail::takes_patches(
        detail::forward_correlation({.n = 1, .h = 9, .w = 9, .c = c, .o = 8, .kh = kernel, .kw = kernel}, false));
  };
  CHECK(takes(3, 3));
  CHECK(takes(3, 7));
  CHECK(takes(16, 3));
  CHECK(!takes(3, 1));
  CHECK(!takes(32, 3));
  CHECK(!takes(64, 3));
  const Correlation c = detail::flattened(detail::forward_correlation({.n = 5, .h = 3, .w = 7, .c = 8, .o = 8}, false));
  CHECK(c.columns == 105);
  CHECK(c.images == 1);
  CHECK(detail::flattened(detail::forward_correlation({.n = 5, .h = 3, .w = 7, .c = 8, .o = 8, .stride_w = 2}, false)).images ==
        5);
}
