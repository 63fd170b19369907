#include <doctest/doctest.h>

#include "scratch.hpp"
#include "sslcake/io/files.hpp"
#include "sslcake/io/npy.hpp"

using namespace sslcake;

namespace {

const std::string fixtures = std::string(SSLCAKE_SOURCE_DIR) + "/tests/fixtures/io/";

std::string npy_of(const std::string& header, std::size_t bytes) {
  std::string text = header + "\n", out = "\x93NUMPY";
  out += '\x01';
  out += '\0';
  out += static_cast<char>(text.size() & 255);
  out += static_cast<char>(text.size() >> 8);
  return out + text + std::string(bytes, '\0');
}
std::string refusal(const std::string& file) {
  return message_of([&] { io::parse_npy(file); });
}

}  // namespace

TEST_CASE("files written by NumPy: types, versions, byte order, Fortran order") {
  const std::pair<const char*, DType> files[] = {
      {"f4", DType::float32}, {"f8", DType::float64}, {"f2", DType::float32}, {"i8", DType::int64}, {"i4", DType::int64},
      {"u1", DType::uint8}, {"b1", DType::boolean}, {"big", DType::float32}, {"fortran", DType::float32},
      {"version2", DType::float32}, {"version3", DType::float32}};
  for (const auto& [file, dtype] : files) {
    const char* name = file;  // Clang 14 lets no lambda capture a binding
    CAPTURE(name);
    const Tensor t = io::load_npy(fixtures + name + ".npy");
    CHECK(t.dtype() == dtype);
    CHECK(t.shape() == Shape{2, 3, 4});
    const auto values = t.to_vector<double>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double k = static_cast<double>(i);
      CHECK(values[i] == (dtype == DType::boolean ? static_cast<double>(i % 2) : dtype == DType::uint8 ? k : k - 2));
    }
  }
  CHECK(io::load_npy(fixtures + "scalar.npy").item() == 7);
  CHECK(io::load_npy(fixtures + "scalar.npy").rank() == 0);
  CHECK(io::load_npy(fixtures + "row.npy").shape() == Shape{3});
  CHECK(io::load_npy(fixtures + "none.npy").shape() == Shape{0, 5});
  CHECK(io::load_npy(fixtures + "odd.npy").to_vector<int>() == std::vector<int>{5, 6});
}

TEST_CASE("what we write is what NumPy would read: aligned, named, in C order") {
  Scratch folder;
  const Tensor t = from_vector<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  io::save_npy(folder / "a.npy", t);
  const std::string bytes = io::read_file(folder / "a.npy");
  CHECK(bytes.substr(0, 8) == std::string("\x93NUMPY\x01\x00", 8));
  CHECK(bytes.substr(10, 60) == "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } ");
  CHECK(bytes.size() == 128 + 24);
  CHECK(bytes[127] == '\n');
  for (const Shape& shape : {Shape{}, Shape{4}, Shape{0, 2}, Shape{1, 2, 3, 1, 2}})
    for (const DType dtype : {DType::float32, DType::float64, DType::int64, DType::uint8, DType::boolean}) {
      io::save_npy(folder / "b.npy", ones(shape, dtype));
      const Tensor back = io::load_npy(folder / "b.npy");
      CHECK(back.shape() == shape);
      CHECK(back.dtype() == dtype);
      for (const double v : back.to_vector<double>()) CHECK(v == 1);
    }
  io::save_npy(folder / "c.npy", full({2}, 0.5, DType::bfloat16));
  CHECK(io::load_npy(folder / "c.npy").dtype() == DType::float32);
  CHECK(contains(message_of([&] { io::save_npy(folder / "d.npy", Tensor{}); }), "defined"));
}

TEST_CASE("types that are no numbers, and broken files") {
  for (const char* name : {"string", "structure", "complex"}) {
    const std::string message = message_of([&] { io::load_npy(fixtures + name + ".npy"); });
    CHECK(contains(message, name == std::string("structure") ? "expected a plain type" : "expected elements of type f8"));
    CHECK(contains(message, name));
  }
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  REQUIRE(refusal(npy_of(good, 8)) == "");
  CHECK(contains(refusal(npy_of(good, 7)), "needs 8 bytes, the file holds 7"));
  CHECK(contains(refusal(npy_of(good, 9)), "needs 8 bytes, the file holds 9"));
  CHECK(contains(refusal(""), "at least 10 bytes"));
  CHECK(contains(refusal("PK\x03\x04 a zip file"), "this is no npy file"));
  CHECK(contains(refusal(npy_of(good, 8).substr(0, 30)), "truncated"));
  CHECK(contains(refusal(std::string("\x93NUMPY\x04\x00\x00\x00\x00\x00", 12)), "expected version 1, 2 or 3, got 4.0"));
  CHECK(contains(refusal(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)), "at most 1000000"));
  CHECK(contains(refusal(std::string("\x93NUMPY\x02\x00\x01\x00\x00", 11)), "truncated"));
  const char* headers[] = {"",
                           "{",
                           "{}",
                           "()",
                           "{'descr': '<f4', 'shape': (2,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)",
                           "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2)}",
                           "{'descr': '<f4, 'fortran_order': False}",
                           "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
                           "{'x': '<f4', 'fortran_order': False, 'shape': (2,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
                           "{'descr': '<f4' 'fortran_order': False 'shape': (2,)}",
                           "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}"};
  for (const char* header : headers) {
    CAPTURE(header);
    CHECK(contains(refusal(npy_of(header, 8)), "the header is not valid"));
  }
  std::string repeated = "{'descr': '<f4'";
  for (int i = 0; i < 11; ++i) repeated += ", 'fortran_order': False";
  CHECK(contains(refusal(npy_of(repeated + "}", 4)), "the key 'fortran_order' twice"));
  for (const char* type : {"", "f4", "|f4", "<f3", "<f16", "|O", "<U2", "?"}) {
    CAPTURE(type);
    CHECK(contains(refusal(npy_of(concat("{'descr': '", type, "', 'fortran_order': False, 'shape': (2,)}"), 8)),
                   "expected elements of type"));
  }
  CHECK(contains(refusal(npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 8)),
                 "more elements than can be counted"));
  CHECK(contains(refusal(npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296)}", 0)),
                 "more elements than can be counted"));
  CHECK(contains(refusal(npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 8)), "below 2^63"));
}
