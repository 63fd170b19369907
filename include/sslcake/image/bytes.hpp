// A reading position in bytes that nobody vouches for. Every read is checked; running over the end is remembered
// instead of thrown, gives zeros, and is asked for once, where the message can say what was being read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../core/config.hpp"

namespace sslcake::inline v0::image::detail {

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size, bool big_endian = true) : data_(data), size_(size), big_(big_endian) {}

  std::size_t size() const { return size_; }
  std::size_t position() const { return at_; }
  std::size_t left() const { return size_ - at_; }
  bool overrun() const { return overrun_; }
  const std::uint8_t* here() const { return data_ + at_; }

  std::uint32_t u8() {
    if (at_ >= size_) return over();
    return data_[at_++];
  }
  std::uint32_t u16() {
    if (left() < 2) return over();
    const std::uint32_t a = data_[at_], b = data_[at_ + 1];
    at_ += 2;
    return big_ ? a << 8 | b : b << 8 | a;
  }
  std::uint32_t u32() {
    if (left() < 4) return over();
    const std::uint32_t first = u16(), second = u16();
    return big_ ? first << 16 | second : second << 16 | first;
  }
  void skip(std::size_t n) {
    if (n > left()) over();
    else at_ += n;
  }
  void seek(std::size_t position) {
    if (position > size_) over();
    else at_ = position;
  }
  /// The next n bytes as a reader of their own, which this one then has passed; shorter if there are fewer.
  Bytes part(std::size_t n) {
    const std::size_t held = n < left() ? n : left();
    const Bytes result(data_ + at_, held, big_);
    skip(n);
    return result;
  }
  /// Whether the next bytes are those of `text` (without its closing zero). Does not move.
  template <std::size_t N>
  bool starts_with(const char (&text)[N], std::size_t offset = 0) const {
    if (left() < offset || left() - offset < N - 1) return false;
    for (std::size_t i = 0; i + 1 < N; ++i)
      if (data_[at_ + offset + i] != static_cast<std::uint8_t>(text[i])) return false;
    return true;
  }

 private:
  std::uint32_t over() {
    overrun_ = true;
    at_ = size_;
    return 0;
  }

  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
  bool big_, overrun_ = false;
};

}  // namespace sslcake::inline v0::image::detail
