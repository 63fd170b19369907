#pragma once

#include <algorithm>
#include <charconv>
#include <cstring>

#include "binary.hpp"
#include "files.hpp"
#include "npy.hpp"

namespace sslcake::inline v0::io {
namespace detail {

struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  Shape shape;
};

/// Reads the Python literal: a dictionary with exactly the three keys, in any order.
class NpyHeaderParser {
 public:
  explicit NpyHeaderParser(std::string_view text) : text_(text) {}

  NpyHeader parse() {
    NpyHeader out;
    int seen = 0;
    expect('{');
    while (!take('}')) {
      const std::string key = string();
      expect(':');
      const int bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      if (seen & bit) error(concat("the key '", key, "' twice"));
      seen |= bit;
      if (key == "descr") {
        if (peek() != '\'' && peek() != '"') error("expected a plain type such as '<f4', got a structure or an object");
        out.descr = string();
      } else if (key == "fortran_order") {
        if (word("True")) out.fortran_order = true;
        else if (!word("False")) error("expected fortran_order to be True or False");
      } else if (key == "shape") {
        out.shape = tuple();
      } else {
        error(concat("unknown key '", key.substr(0, 40), "'"));
      }
      if (!take(',') && peek() != '}') error("expected ',' or '}'");
    }
    if (peek() != '\0') error("expected the end of the header");
    if (seen != 7) error("expected the keys descr, fortran_order and shape, each once");
    return out;
  }

 private:
  [[noreturn]] void error(std::string_view what) const { fail("npy", "the header is not valid: ", what); }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) error(concat("expected '", c, "'"));
  }
  bool word(std::string_view w) {
    peek();
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }
  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') error("expected a string");
    const auto end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) error("a string without its end");
    const std::string out(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return out;
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (!take(')')) {
      peek();
      std::int64_t extent = -1;
      const auto [end, status] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), extent);
      if (status != std::errc{} || extent < 0) error("expected extents that are integers >= 0 and below 2^63");
      if (shape.rank() == Shape::capacity) error("more than 8 dimensions");
      shape.push_back(extent);
      at_ = static_cast<std::size_t>(end - text_.data());
      take('L');  // Python 2 wrote its long integers so
      if (!take(',') && peek() != ')') error("expected ',' or ')'");
    }
    return shape;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

struct NpyType {
  const char* code;
  std::size_t bytes;
  DType dtype;
};
inline constexpr NpyType npy_types[] = {{"f4", 4, DType::float32}, {"f8", 8, DType::float64}, {"i8", 8, DType::int64},
                                        {"u1", 1, DType::uint8},   {"b1", 1, DType::boolean}, {"f2", 2, DType::float32},
                                        {"i4", 4, DType::int64}};

/// Puts an array in Fortran order (first index fastest) into C order (last index fastest).
inline std::string fortran_to_c(const std::string& raw, const Shape& shape, std::size_t bytes) {
  std::string out(raw.size(), '\0');
  std::int64_t index[Shape::capacity] = {};
  for (std::size_t from = 0; from < raw.size(); from += bytes) {
    std::int64_t to = 0;
    for (int d = 0; d < shape.rank(); ++d) to = to * shape[d] + index[d];
    std::memcpy(out.data() + static_cast<std::size_t>(to) * bytes, raw.data() + from, bytes);
    for (int d = 0; d < shape.rank() && ++index[d] == shape[d]; ++d) index[d] = 0;
  }
  return out;
}

/// Converts the raw numbers to a tensor.
inline Tensor npy_tensor(const NpyHeader& header, const NpyType& type, bool swap, std::string raw) {
  if (swap)
    for (std::size_t i = 0; i < raw.size(); i += type.bytes) std::reverse(raw.data() + i, raw.data() + i + type.bytes);
  if (header.fortran_order && header.shape.rank() > 1) raw = fortran_to_c(raw, header.shape, type.bytes);
  Tensor t(header.shape, type.dtype);
  const auto n = static_cast<std::size_t>(t.numel());
  if (n == 0) return t;
  if (std::string_view(type.code) == "f2") {
    for (std::size_t i = 0; i < n; ++i) {
      std::uint16_t half;
      std::memcpy(&half, raw.data() + 2 * i, 2);
      t.mutable_data<float>()[i] = half_to_float(half);
    }
  } else if (std::string_view(type.code) == "i4") {
    for (std::size_t i = 0; i < n; ++i) {
      std::int32_t value;
      std::memcpy(&value, raw.data() + 4 * i, 4);
      t.mutable_data<std::int64_t>()[i] = value;
    }
  } else {
    if (type.dtype == DType::boolean)  // a bool in memory must be 0 or 1
      for (char& c : raw) c = c != 0;
    std::memcpy(t.mutable_raw(), raw.data(), raw.size());
  }
  return t;
}

inline Tensor read_npy(std::uint64_t size, const ReadFn& read) {
  unsigned char start[12] = {};
  if (size < 10) fail("npy", "expected at least 10 bytes, got ", size);
  read(0, start, size < 12 ? size : 12);
  if (std::memcmp(start, "\x93NUMPY", 6) != 0) fail("npy", "expected a file that begins with \\x93NUMPY; this is no npy file");
  if (start[6] < 1 || start[6] > 3) fail("npy", "expected version 1, 2 or 3, got ", int{start[6]}, ".", int{start[7]});
  const std::uint64_t prefix = start[6] == 1 ? 10 : 12;
  std::uint64_t length = start[8] | std::uint64_t{start[9]} << 8;
  if (start[6] > 1) length |= std::uint64_t{start[10]} << 16 | std::uint64_t{start[11]} << 24;
  if (length > 1'000'000) fail("npy", "the header claims ", length, " bytes, at most 1000000 are allowed");
  if (size < prefix || length > size - prefix)
    fail("npy", "the header claims ", length, " bytes, more than the file holds: it is truncated");
  std::string text(static_cast<std::size_t>(length), '\0');
  read(prefix, text.data(), length);
  const NpyHeader header = NpyHeaderParser(text).parse();

  const char order = header.descr.empty() ? '\0' : header.descr[0];
  const NpyType* type = nullptr;
  for (const auto& t : npy_types)
    if (header.descr.size() == 3 && header.descr.substr(1) == t.code) type = &t;
  if (!type || (order != '<' && order != '>' && order != '=' && !(order == '|' && type->bytes == 1)))
    fail("npy", "expected elements of type f8 f4 f2 i8 i4 u1 or b1, got '", header.descr.substr(0, 40),
         "'; convert the array with astype() first");
  std::uint64_t bytes = type->bytes;
  bool empty = false;
  for (const auto extent : header.shape) {
    if (extent == 0) { empty = true; continue; }
    if (bytes > (std::uint64_t{1} << 62) / static_cast<std::uint64_t>(extent))
      fail("npy", "the shape ", header.shape, " has more elements than can be counted");
    bytes *= static_cast<std::uint64_t>(extent);
  }
  if (empty) bytes = 0;
  if (bytes != size - prefix - length)
    fail("npy", "the shape ", header.shape, " needs ", bytes, " bytes, the file holds ", size - prefix - length);
  std::string raw(static_cast<std::size_t>(bytes), '\0');
  read(prefix + length, raw.data(), bytes);
  return npy_tensor(header, *type, order == '>', std::move(raw));
}

}  // namespace detail

SSLCAKE_INLINE Tensor load_npy(const std::string& path) {
  const InputFile file(path);
  try {
    return detail::read_npy(file.size(),
                            [&file](std::uint64_t offset, void* to, std::uint64_t bytes) { file.read(offset, to, bytes); });
  } catch (const Error& e) {
    throw Error(std::string(e.what()) + " (" + path + ")");
  }
}

SSLCAKE_INLINE Tensor parse_npy(std::string_view bytes) {
  return detail::read_npy(bytes.size(), [bytes](std::uint64_t offset, void* to, std::uint64_t count) {
    std::memcpy(to, bytes.data() + offset, static_cast<std::size_t>(count));
  });
}

SSLCAKE_INLINE void save_npy(const std::string& path, const Tensor& array) {
  if (!array.defined()) fail("save_npy", "expected a defined tensor");
  const Tensor here = array.to(Device::cpu), t = here.dtype() == DType::bfloat16 ? here.to(DType::float32) : here;
  const detail::NpyType* type = detail::npy_types;
  while (type->dtype != t.dtype()) ++type;
  std::string header = concat("{'descr': '", type->bytes == 1 ? '|' : '<', type->code, "', 'fortran_order': False, 'shape': (");
  for (int i = 0; i < t.rank(); ++i) header += concat(t.dim(i), i + 1 < t.rank() ? ", " : t.rank() == 1 ? "," : "");
  header += "), }";
  header.append((64 - (10 + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  OutputFile out(path);
  out.write(std::string_view("\x93NUMPY\x01\x00", 8));
  const char length[2] = {static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  out.write(length, 2);
  out.write(header);
  out.write(t.raw(), t.bytes());
  out.commit();
}

}  // namespace sslcake::inline v0::io
