// Shapes: up to eight extents, held inline (no allocation), row-major.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "error.hpp"

namespace sslcake::inline v0 {

class Shape {
 public:
  static constexpr int capacity = 8;

  Shape() = default;  // rank 0: a scalar, one element
  Shape(std::initializer_list<std::int64_t> extents) {
    for (const auto e : extents) push_back(e);
  }
  /// A shape of `rank` ones.
  static Shape ones(int rank) {
    Shape s;
    for (int i = 0; i < rank; ++i) s.push_back(1);
    return s;
  }

  int rank() const { return rank_; }
  /// Extent of dimension `i`; negative counts from the back (-1 is the last).
  std::int64_t operator[](int i) const { return extents_[static_cast<std::size_t>(index(i))]; }
  std::int64_t& operator[](int i) { return extents_[static_cast<std::size_t>(index(i))]; }
  std::int64_t back() const { return (*this)[-1]; }
  const std::int64_t* begin() const { return extents_.data(); }
  const std::int64_t* end() const { return extents_.data() + rank_; }

  void push_back(std::int64_t extent) {
    if (rank_ == capacity) fail("Shape", "expected at most 8 dimensions, got more");
    if (extent < 0) fail("Shape", "expected extents >= 0, got ", extent);
    extents_[static_cast<std::size_t>(rank_++)] = extent;
  }

  /// Number of elements; 1 for a scalar. A product of 2^59 and more is an error, so that bytes cannot overflow either.
  std::int64_t numel() const {
    constexpr std::int64_t most = (std::int64_t{1} << 59) - 1;
    std::int64_t n = 1;
    bool empty = false;
    for (const auto e : *this) {
      if (e == 0) { empty = true; continue; }
      if (n > most / e) fail("Shape", "too many elements: ", str());
      n *= e;
    }
    return empty ? 0 : n;
  }
  /// Product of the extents in [first, last): the number of elements that these dimensions span.
  std::int64_t span(int first, int last) const {
    std::int64_t n = 1;
    for (int i = first; i < last; ++i) n *= extents_[static_cast<std::size_t>(i)];
    return n;
  }

  /// Turns a possibly negative dimension into 0..rank-1, or fails naming `where`.
  int axis(int i, const char* where) const {
    if (i < -rank_ || i >= rank_)
      fail(where, "expected a dimension in [", -rank_, ",", rank_, ") for shape ", str(), ", got ", i);
    return i < 0 ? i + rank_ : i;
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a[i] != b[i]) return false;
    return true;
  }

  /// "(64,32,32,3)"; a scalar is "()".
  std::string str() const {
    std::string out = "(";
    for (int i = 0; i < rank_; ++i) {
      if (i) out += ',';
      out += std::to_string((*this)[i]);
    }
    return out + ")";
  }

 private:
  int index(int i) const {
    if (i < -rank_ || i >= rank_) fail("Shape", "dimension ", i, " of a shape of rank ", rank_);
    return i < 0 ? i + rank_ : i;
  }
  std::array<std::int64_t, capacity> extents_{};
  int rank_ = 0;
};

}  // namespace sslcake::inline v0
