// Errors, element types, shapes, tensors, storage.
#include <doctest/doctest.h>

#include <clocale>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "sslcake/core/random.hpp"
#include "sslcake/core/tensor.hpp"

using namespace sslcake;

namespace {
template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
bool mentions(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }
}  // namespace

TEST_CASE("messages join text, numbers, shapes and types, whatever the locale") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  std::setlocale(LC_ALL, "de_DE.UTF-8");  // where it exists, writes 0,5
  CHECK(concat("x", 3, ' ', 0.5, ' ', true, ' ', Shape{2, 3}, ' ', DType::bfloat16, ' ', Device::cpu) ==
        "x3 0.5 true (2,3) bfloat16 cpu");
  std::setlocale(LC_ALL, before.c_str());
  CHECK(concat(1e-9, ' ', std::numeric_limits<double>::infinity(), ' ', std::uint64_t{18446744073709551615u}) ==
        "1e-09 inf 18446744073709551615");
  CHECK(message_of([] { fail("conv2d", "expected ", 64, ", got ", Shape{}); }) == "[conv2d] expected 64, got ()");
}

TEST_CASE("bfloat16 rounds to nearest, ties to even, and keeps NaN and infinity") {
  const auto rounded = [](float v) { return static_cast<float>(bfloat16(v)); };
  CHECK(rounded(1.0f) == 1.0f);
  CHECK(rounded(1.0f + 0x1p-8f) == 1.0f);                   // half way: down to even
  CHECK(rounded(1.0f + 3 * 0x1p-8f) == 1.0f + 0x1p-6f);     // half way: up to even
  CHECK(rounded(1.0f + 0x1p-8f + 0x1p-20f) == 1.0f + 0x1p-7f);
  CHECK(rounded(std::numeric_limits<float>::max()) == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(rounded(std::nanf(""))));
  CHECK(std::isnan(rounded(std::bit_cast<float>(0x7f800001u))));  // a NaN whose upper half alone would be infinity
  CHECK(rounded(-std::numeric_limits<float>::infinity()) == -std::numeric_limits<float>::infinity());
  CHECK(std::signbit(rounded(-0.0f)));
}

TEST_CASE("element types: sizes, names, dispatch") {
  CHECK(size_of(DType::bfloat16) == sizeof(bfloat16));
  CHECK(size_of(DType::int64) == 8);
  CHECK(is_floating(DType::bfloat16));
  CHECK_FALSE(is_floating(DType::int64));
  CHECK(dispatch_real(DType::float64, "f", [](auto zero) { return sizeof zero; }) == 8);
  CHECK(message_of([] { dispatch_real(DType::bfloat16, "matmul", [](auto) {}); }) ==
        "[matmul] expected float32 or float64, got bfloat16");
  CHECK(mentions(message_of([] { dispatch_floating(DType::uint8, "relu", [](auto) {}); }), "got uint8"));
  for (const DType t : {DType::float32, DType::float64, DType::bfloat16, DType::int64, DType::uint8, DType::boolean})
    CHECK(dispatch_all(t, [](auto zero) { return dtype_of<decltype(zero)>; }) == t);
}

TEST_CASE("shapes") {
  const Shape s{2, 3, 4};
  CHECK(s.rank() == 3);
  CHECK(s[-1] == 4);
  CHECK(s.numel() == 24);
  CHECK(s.span(1, 3) == 12);
  CHECK(s.str() == "(2,3,4)");
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{}.str() == "()");
  CHECK(Shape{0, 5}.numel() == 0);
  CHECK(Shape::ones(2) == Shape{1, 1});
  CHECK_FALSE(Shape{2} == Shape{2, 1});
  CHECK(s.axis(-1, "f") == 2);
  CHECK(message_of([&] { s.axis(3, "sum"); }) == "[sum] expected a dimension in [-3,3) for shape (2,3,4), got 3");
  CHECK(mentions(message_of([&] { s[3]; }), "dimension 3"));
  CHECK(mentions(message_of([] { Shape{1, -1}; }), "extents >= 0, got -1"));
  CHECK(mentions(message_of([] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; }), "at most 8"));
}

TEST_CASE("a shape too large to count is an error, not an overflow") {
  const std::int64_t big = std::int64_t{1} << 31;
  CHECK(mentions(message_of([&] { Shape{big, big, big}.numel(); }), "too many elements"));
  CHECK(mentions(message_of([&] { Shape{std::numeric_limits<std::int64_t>::max()}.numel(); }), "too many elements"));
  // 2^61 elements of 8 bytes would be 2^64 bytes: zero, if it wrapped.
  CHECK(mentions(message_of([&] { zeros({std::int64_t{1} << 61}, DType::float64); }), "too many elements"));
  CHECK(mentions(message_of([&] { zeros({big, std::int64_t{1} << 20}); }), "bytes"));  // countable, but nobody has it
  CHECK(mentions(message_of([&] { zeros({big, big, 0}); }), "too many elements"));  // products of some extents are formed too
  CHECK(zeros({big, 0}).numel() == 0);
}

TEST_CASE("tensors: making, reading, converting") {
  CHECK_FALSE(Tensor{}.defined());
  CHECK(Tensor{}.numel() == 0);
  CHECK(Tensor{}.raw() == nullptr);
  CHECK_FALSE(Tensor{}.to(DType::float64).defined());
  CHECK(zeros({2, 2}).to_vector<int>() == std::vector<int>{0, 0, 0, 0});
  CHECK(full({2}, 1.5, DType::bfloat16).to_vector<double>() == std::vector<double>{1.5, 1.5});
  CHECK(arange(3).to_vector<int>() == std::vector<int>{0, 1, 2});
  CHECK(scalar(2.5).item() == 2.5);
  CHECK(from_vector<bool>({2}, {true, false}).to_vector<bool>() == std::vector<bool>{true, false});
  CHECK(from_vector<float>({0}, {}).numel() == 0);
  CHECK(mentions(message_of([] { from_vector<float>({2, 2}, {1, 2}); }), "expected 4 values for shape (2,2), got 2"));
  CHECK(mentions(message_of([] { zeros({2}).data<double>(); }), "expected elements of type float64, the tensor holds float32"));
  CHECK(mentions(message_of([] { zeros({2}).item(); }), "one element"));
  CHECK(mentions(message_of([] { Tensor{}.item(); }), "one element"));
  CHECK(reinterpret_cast<std::uintptr_t>(zeros({3}).raw()) % 64 == 0);
}

TEST_CASE("conversions saturate instead of being undefined") {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor x = from_vector<double>({6}, {-5, 3.9, 300, inf, -inf, std::nan("")});
  CHECK(x.to(DType::uint8).to_vector<int>() == std::vector<int>{0, 3, 255, 255, 0, 0});
  const auto wide = x.to(DType::int64).to_vector<std::int64_t>();
  CHECK(wide == std::vector<std::int64_t>{-5, 3, 300, std::numeric_limits<std::int64_t>::max(),
                                          std::numeric_limits<std::int64_t>::min(), 0});
  CHECK(x.to(DType::boolean).to_vector<bool>() == std::vector<bool>{true, true, true, true, true, true});
  CHECK(from_vector<float>({2}, {0.25f, 0}).to(DType::boolean).to_vector<bool>() == std::vector<bool>{true, false});
  CHECK(from_vector<std::int64_t>({1}, {257}).to(DType::bfloat16).item() == 256);
  CHECK(from_vector<bfloat16>({1}, {bfloat16(1.5f)}).to(DType::float64).item() == 1.5);
  const std::int64_t most = std::numeric_limits<std::int64_t>::max(), least = std::numeric_limits<std::int64_t>::min();
  const Tensor integers = from_vector<std::int64_t>({5}, {300, -1, 7, most, least});
  CHECK(integers.to(DType::uint8).to_vector<int>() == std::vector<int>{255, 0, 7, 255, 0});
  CHECK(integers.to_vector<int>() ==
        std::vector<int>{300, -1, 7, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()});
  CHECK(integers.to_vector<std::int64_t>() == std::vector<std::int64_t>{300, -1, 7, most, least});
  CHECK(integers.to_vector<std::uint64_t>() == std::vector<std::uint64_t>{300, 0, 7, static_cast<std::uint64_t>(most), 0});
  CHECK(x.to_vector<std::int64_t>() == wide);  // read as another type: as if converted
  CHECK(x.to_vector<std::uint8_t>() == std::vector<std::uint8_t>{0, 3, 255, 255, 0, 0});
}

TEST_CASE("handles, views and copies") {
  Tensor a = from_vector<float>({2, 3}, {0, 1, 2, 3, 4, 5});
  Tensor b = a;
  b.mutable_data<float>()[0] = 9;
  CHECK(a.data<float>()[0] == 9);
  CHECK_FALSE(a.sole_owner());
  const Tensor c = a.clone();
  CHECK_FALSE(c.shares_storage_with(a));
  CHECK(c.sole_owner());
  const Tensor row = a.rows(1, 2);
  CHECK(row.shape() == Shape{1, 3});
  CHECK(row.to_vector<int>() == std::vector<int>{3, 4, 5});
  CHECK(row.alias({3}).rows(1, 3).to_vector<int>() == std::vector<int>{4, 5});
  CHECK(a.rows(2, 2).numel() == 0);
  CHECK(mentions(message_of([&] { a.rows(1, 3); }), "[1,3)"));
  CHECK(mentions(message_of([&] { a.alias({4}); }), "expected 6 elements"));
  CHECK(a.to(DType::float32).shares_storage_with(a));

  Tensor target = zeros({2, 3}, DType::int64);
  copy_into(target, a);
  CHECK(target.to_vector<int>() == std::vector<int>{9, 1, 2, 3, 4, 5});
  CHECK(mentions(message_of([&] { copy_into(target, row); }), "expected shape (2,3), got (1,3)"));
  Tensor number = scalar(1), nothing;
  CHECK(mentions(message_of([&] { copy_into(number, Tensor{}); }), "expected two defined tensors"));
  CHECK(mentions(message_of([&] { copy_into(nothing, number); }), "expected two defined tensors"));
  Tensor part = a.rows(0, 1);
  copy_into(part, row);
  CHECK(a.to_vector<int>() == std::vector<int>{3, 4, 5, 3, 4, 5});
}

TEST_CASE("the version counts writes through every handle and view, and no reads") {
  Tensor a = zeros({2, 2});
  const auto start = a.version();
  (void)a.data<float>();
  (void)a.to_vector<float>();
  CHECK(a.version() == start);
  Tensor view = a.rows(1, 2);
  view.mutable_data<float>();
  CHECK(a.version() == start + 1);
  CHECK(a.detach().version() == start + 1);
  a.mutable_raw();
  CHECK(view.version() == start + 2);
  copy_into(a, ones({2, 2}));
  CHECK(view.version() > start + 2);
  const auto last = a.version();
  a.clone().mutable_raw();  // a copy has its own counter
  CHECK(a.version() == last);
}

TEST_CASE("the allocator reuses blocks and keeps count") {
  release_cached_memory();
  const auto before = memory_stats();
  const void* block = nullptr;
  {
    const Tensor t({1000, 100}, DType::float32);
    block = t.raw();
    CHECK(memory_stats().in_use >= before.in_use + t.bytes());
    CHECK(memory_stats().in_use <= before.in_use + t.bytes() * 9 / 8);
  }
  CHECK(memory_stats().in_use == before.in_use);
  CHECK(memory_stats().cached >= 400000);
  const auto asked = memory_stats().from_system;
  for (int i = 0; i < 10; ++i) {
    const Tensor t({100, 1000}, DType::float32);  // the same size in another shape
    CHECK(t.raw() == block);
  }
  CHECK(memory_stats().from_system == asked);
  reset_peak_memory();
  { const Tensor t({1 << 20}, DType::uint8); }
  CHECK(memory_stats().peak >= memory_stats().in_use + (1 << 20));
  release_cached_memory();
  CHECK(memory_stats().cached == 0);
  Workspace<double> scratch(100);
  scratch[99] = 1;
  CHECK(scratch.size() == 100);
  CHECK(Workspace<float>(0).data() == nullptr);
}

TEST_CASE("large blocks: freed neighbours become one, whatever their sizes, and are given back on demand") {
  release_cached_memory();
  const std::int64_t mib = 1 << 20;
  const auto block = [&](std::int64_t size) { return std::make_unique<Tensor>(Shape{size * mib}, DType::uint8); };
  {
    auto a = block(8), b = block(3), c = block(5), keep = block(1);
    std::memset(a->mutable_raw(), 1, static_cast<std::size_t>(8 * mib));
    const void* start = a->raw();
    a.reset(), c.reset(), b.reset();
    const auto before = memory_stats();
    const auto all = block(16);
#if defined(__SANITIZE_ADDRESS__)
    CHECK(start != nullptr);  // under the sanitizer there is no arena: it watches each block by itself
    CHECK(before.in_use > 0);
#else
    CHECK(all->raw() == start);
    CHECK(memory_stats().from_system == before.from_system);
    CHECK(memory_stats().cached == before.cached - static_cast<std::size_t>(16 * mib));
#endif
    std::memset(all->mutable_raw(), 2, static_cast<std::size_t>(16 * mib));
  }
  release_cached_memory();
  CHECK(memory_stats().cached == 0);
  const auto again = block(16);  // its pages come back as they are touched
  std::memset(again->mutable_raw(), 3, static_cast<std::size_t>(16 * mib));
  CHECK(again->data<std::uint8_t>()[16 * mib - 1] == 3);
}

TEST_CASE("large blocks: random sizes never overlap and all come back") {
  const auto before = memory_stats().in_use;
  Random random(1, Purpose::test);
  std::vector<Tensor> live;
  for (int i = 0; i < 2000; ++i) {
    if (live.size() < 30 && random.chance(0.6f)) {
      live.push_back(Tensor(Shape{(1 << 17) + random.below(1 << 17)}, DType::int64));
      Tensor& t = live.back();
      auto* p = t.mutable_data<std::int64_t>();
      p[0] = p[t.numel() - 1] = p[t.numel() / 2] = i;
    } else if (!live.empty()) {
      const auto at = random.below(static_cast<std::uint32_t>(live.size()));
      const auto* p = live[at].data<std::int64_t>();
      const std::int64_t n = live[at].numel();
      REQUIRE(p[0] == p[n - 1]);
      REQUIRE(p[0] == p[n / 2]);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  live.clear();
  CHECK(memory_stats().in_use == before);
}
