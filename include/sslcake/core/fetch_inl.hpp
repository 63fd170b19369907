#pragma once

#include <cstring>
#include <utility>

#include "fetch.hpp"

namespace sslcake::inline v0 {

SSLCAKE_INLINE Fetch::Fetch(const std::vector<Tensor>& numbers) {
  std::vector<const void*> from;
  std::vector<std::size_t> bytes;
  for (const auto& t : numbers) {
    if (t.numel() != 1) fail("Fetch", "expected tensors of one element, got shape ", t.shape());
    if (t.device() == Device::cpu) {
      places_.push_back({-1, t.dtype(), t.item()});
      continue;
    }
    if (t.dtype() != DType::float32 && t.dtype() != DType::float64 && t.dtype() != DType::int64)
      fail("Fetch", "expected float32, float64 or int64, got ", t.dtype());
    places_.push_back({static_cast<int>(from.size()), t.dtype(), 0});
    from.push_back(t.address());
    bytes.push_back(size_of(t.dtype()));
  }
  slots_ = static_cast<int>(from.size());
  if (slots_ > 0) ticket_ = functions_of(Device::cuda).fetch(slots_, from.data(), bytes.data());
}

SSLCAKE_INLINE Fetch::Fetch(Fetch&& other) noexcept
    : places_(std::move(other.places_)), ticket_(std::exchange(other.ticket_, nullptr)), slots_(std::exchange(other.slots_, 0)) {}
SSLCAKE_INLINE Fetch& Fetch::operator=(Fetch&& other) noexcept {
  std::swap(places_, other.places_);
  std::swap(ticket_, other.ticket_);
  std::swap(slots_, other.slots_);
  return *this;
}
SSLCAKE_INLINE Fetch::~Fetch() {
  if (!ticket_) return;
  std::vector<double> unused(static_cast<std::size_t>(slots_));
  try {
    functions_of(Device::cuda).take(ticket_, slots_, unused.data());
  } catch (...) {  // the device's error comes out where the next number is read
  }
}

SSLCAKE_INLINE bool Fetch::ready() const { return !ticket_ || functions_of(Device::cuda).fetched(ticket_); }

SSLCAKE_INLINE std::vector<double> Fetch::take() {
  std::vector<double> fetched(static_cast<std::size_t>(slots_)), out;
  if (ticket_) functions_of(Device::cuda).take(std::exchange(ticket_, nullptr), slots_, fetched.data());
  for (const auto& p : places_) {
    double value = p.value;
    if (p.slot >= 0) {
      const void* bits = &fetched[static_cast<std::size_t>(p.slot)];
      float single = 0;
      std::int64_t integer = 0;
      if (p.type == DType::float32) std::memcpy(&single, bits, sizeof single), value = static_cast<double>(single);
      else if (p.type == DType::int64) std::memcpy(&integer, bits, sizeof integer), value = static_cast<double>(integer);
      else std::memcpy(&value, bits, sizeof value);
    }
    out.push_back(value);
  }
  return out;
}

}  // namespace sslcake::inline v0
