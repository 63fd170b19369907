#include <doctest/doctest.h>

#include <cmath>

#include "scratch.hpp"
#include "sslcake/io/files.hpp"
#include "sslcake/io/safetensors.hpp"

using namespace sslcake;

namespace {

const std::string fixtures = std::string(SSLCAKE_SOURCE_DIR) + "/tests/fixtures/io/";

/// A file with the given header text, `bytes` zero bytes of data, and the header's true length unless told otherwise.
std::string file_of(const std::string& header, std::size_t bytes = 0, std::uint64_t length = ~std::uint64_t{0}) {
  if (length == ~std::uint64_t{0}) length = header.size();
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(length >> (8 * i) & 255);
  return out + header + std::string(bytes, '\0');
}
std::string refusal(const std::string& file) {
  return message_of([&] { io::parse_safetensors(file); });
}

}  // namespace

TEST_CASE("a file of the original library: every type, and the same bytes when we write it") {
  const std::string path = fixtures + "types.safetensors";
  const auto file = io::load_safetensors(path);
  CHECK(file.metadata == std::map<std::string, std::string>{{"format", "pt"}});
  CHECK(file.tensors.size() == 8);
  const std::pair<const char*, DType> types[] = {{"f32", DType::float32}, {"f64", DType::float64}, {"bf16", DType::bfloat16},
                                                 {"i64", DType::int64}, {"u8", DType::uint8}, {"bool", DType::boolean}};
  for (const auto& [key, dtype] : types) {
    const std::string name = key;  // Clang 14 lets no lambda capture a binding
    CAPTURE(name);
    const Tensor* t = find(file.tensors, name);
    REQUIRE(t);
    CHECK(t->dtype() == dtype);
    const auto values = t->to_vector<double>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double k = static_cast<double>(i);
      CHECK(values[i] == (dtype == DType::boolean ? static_cast<double>(i % 2) : dtype == DType::uint8 ? k + 3 : k - 2));
    }
  }
  CHECK(find(file.tensors, "i64")->shape() == Shape{});
  CHECK(find(file.tensors, "f32")->shape() == Shape{2, 3});
  CHECK(find(file.tensors, "b.empty")->shape() == Shape{0, 3});

  Scratch folder;
  auto shuffled = file;
  std::swap(shuffled.tensors.front(), shuffled.tensors.back());
  io::save_safetensors(folder / "again.safetensors", shuffled);
  CHECK(io::read_file(folder / "again.safetensors") == io::read_file(path));
}

TEST_CASE("half precision and int32 are converted, unknown types refused by name") {
  const auto file = io::load_safetensors(fixtures + "converted.safetensors");
  const auto f = find(file.tensors, "f16")->to_vector<float>();
  const float expected[] = {0.0f, -0.0f, 1.0f, -2.5f, 65504.0f, 0x1p-24f, 0x1.ff8p-15f, INFINITY, -INFINITY};
  for (std::size_t i = 0; i < 9; ++i) {
    CHECK(f[i] == expected[i]);
    CHECK(std::signbit(f[i]) == std::signbit(expected[i]));
  }
  CHECK(std::isnan(f[9]));
  CHECK(find(file.tensors, "i32")->to_vector<std::int64_t>() == std::vector<std::int64_t>{-2, -1, 0, 1});
  const std::string message = message_of([] { io::load_safetensors(fixtures + "unknown.safetensors"); });
  CHECK(contains(message, "tensor \"c\" has dtype \"C64\""));
  CHECK(contains(message, "unknown.safetensors"));
}

TEST_CASE("round trip") {
  Scratch folder;
  io::SafeTensors file;
  file.metadata = {{"b", "two \"words\"\n"}, {"a", "\xc3\xa9"}};
  file.tensors = {{"x", arange(5)}, {"nothing", zeros({3, 0})}, {"y", full({2}, -1.5, DType::bfloat16)}};
  io::save_safetensors(folder / "x.safetensors", file);
  const auto back = io::load_safetensors(folder / "x.safetensors");
  CHECK(back.metadata == file.metadata);
  CHECK(back.tensors.size() == 3);
  CHECK(find(back.tensors, "x")->to_vector<int>() == std::vector<int>{0, 1, 2, 3, 4});
  CHECK(find(back.tensors, "y")->to_vector<float>() == std::vector<float>{-1.5f, -1.5f});
  CHECK(io::read_file(folder / "x.safetensors").size() % 8 == 4);  // an aligned header, then 40 + 4 bytes
  file.tensors.emplace_back("x", ones({1}));
  CHECK(contains(message_of([&] { io::save_safetensors(folder / "x.safetensors", file); }), "two tensors are named \"x\""));
  file.tensors.back() = {"caf\xe9", ones({1})};
  CHECK(contains(message_of([&] { io::save_safetensors(folder / "x.safetensors", file); }), "expected names in UTF-8"));
  file.tensors.back() = {"z", Tensor{}};
  CHECK(contains(message_of([&] { io::save_safetensors(folder / "x.safetensors", file); }), "\"z\" is undefined"));
  CHECK(io::load_safetensors(folder / "x.safetensors").tensors.size() == 3);
}

TEST_CASE("hostile and broken files, each with its message") {
  const std::string a = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const auto b = [](int begin, int end) {
    return ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) +
           "]}";
  };
  REQUIRE(refusal(file_of("{" + a + b(4, 8) + "}  \n ", 8)) == "");
  CHECK(contains(refusal(""), "expected at least 8 bytes"));
  CHECK(contains(refusal("1234567"), "expected at least 8 bytes"));
  CHECK(contains(refusal(file_of("{}", 0, 3)), "truncated"));
  CHECK(contains(refusal(file_of("{}", 0, 100'000'001)), "at most 100000000 are allowed"));
  CHECK(contains(refusal(file_of("{}", 0, ~std::uint64_t{1})), "at most 100000000 are allowed"));
  CHECK(contains(refusal(file_of("")), "begins with '{'"));
  CHECK(contains(refusal(file_of(" {}")), "begins with '{'"));
  CHECK(contains(refusal(file_of("{\"a\":")), "the header is not valid"));
  CHECK(contains(refusal(file_of("{\xff}")), "the header is not valid"));
  CHECK(contains(refusal(file_of("{\"\xff\":1}")), "not valid UTF-8"));
  CHECK(contains(refusal(file_of("{\"a\":" + std::string(100'000, '['))), "nested deeper"));
  CHECK(contains(refusal(file_of("{" + a + "," + a + "}", 4)), "\"a\" appears twice"));
  CHECK(contains(refusal(file_of("{" + a + b(0, 4) + "}", 4)), "overlaps another one"));
  CHECK(contains(refusal(file_of("{" + a + b(2, 6) + "}", 6)), "overlaps another one"));
  CHECK(contains(refusal(file_of("{" + a + b(8, 12) + "}", 12)), "there is a hole before it"));
  CHECK(contains(refusal(file_of("{" + a + "}", 3)), "it is truncated"));
  CHECK(contains(refusal(file_of("{" + a + "}", 5)), "something follows the last one"));

  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets, std::size_t bytes = 4) {
    return refusal(file_of("{\"t\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}", bytes));
  };
  REQUIRE(one("\"F32\"", "[]", "[0,4]") == "");
  CHECK(contains(one("\"F33\"", "[1]", "[0,4]"), "has dtype \"F33\""));
  CHECK(contains(one("4", "[1]", "[0,4]"), "expected \"dtype\""));
  CHECK(contains(one("\"F32\"", "1", "[0,4]"), "expected \"shape\""));
  CHECK(contains(one("\"F32\"", "[-1]", "[0,4]"), "integers >= 0"));
  CHECK(contains(one("\"F32\"", "[1.0]", "[0,4]"), "integers >= 0"));
  CHECK(contains(one("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "has 9 dimensions"));
  CHECK(contains(one("\"F32\"", "[1]", "[0]"), "expected \"data_offsets\""));
  CHECK(contains(one("\"F32\"", "[1]", "[0,4,4]"), "expected \"data_offsets\""));
  CHECK(contains(one("\"F32\"", "[1]", "[4,0]"), "do not span the 4 bytes"));
  CHECK(contains(one("\"F32\"", "[2]", "[0,4]"), "do not span the 8 bytes"));
  CHECK(contains(one("\"F32\"", "[1]", "[0,8]", 8), "do not span the 4 bytes"));
  CHECK(contains(one("\"F32\"", "[1]", "[-4,0]"), "integers >= 0"));
  CHECK(contains(one("\"F32\"", "[1]", "[0,18446744073709551616]"), "integers >= 0"));
  CHECK(contains(one("\"F32\"", "[4611686018427387904,4]", "[0,0]", 0), "more elements than can be counted"));
  CHECK(contains(one("\"F32\"", "[4294967296,4294967296]", "[0,0]", 0), "more elements than can be counted"));
  CHECK(contains(one("\"F32\"", "[0,4294967296,4294967296]", "[0,0]", 0), "more elements than can be counted"));
  CHECK(contains(refusal(file_of("{\"t\":3}")), "expected an object"));
  CHECK(contains(refusal(file_of("{\"__metadata__\":3}")), "__metadata__"));
  CHECK(contains(refusal(file_of("{\"__metadata__\":{\"a\":1}}")), "\"a\" to be a string"));
  CHECK(contains(refusal(file_of("[]")), "begins with '{'"));
}

TEST_CASE("a header with many small values is refused before it fills the memory") {
  std::string header = "{\"a\":[0";
  for (int i = 0; i < 4'500'000; ++i) header += ",0";
  CHECK(contains(refusal(file_of(header + "]}")), "more than 4000000 values"));
}

TEST_CASE("booleans from a file are 0 or 1") {
  std::string file = file_of(R"({"t":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})", 0) + std::string("\x00\x01\xfe", 3);
  const auto t = io::parse_safetensors(file).tensors[0].second;
  const auto* bytes = static_cast<const unsigned char*>(t.raw());
  CHECK(bytes[0] == 0);
  CHECK(bytes[1] == 1);
  CHECK(bytes[2] == 1);
}
