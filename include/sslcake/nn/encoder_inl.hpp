#pragma once

#include <charconv>

#include "cakenet.hpp"
#include "encoder.hpp"
#include "resnet.hpp"

namespace sslcake::inline v0::nn {

SSLCAKE_INLINE std::vector<std::string> encoder_names() { return {"resnet18", "resnet34", "resnet50", "cakenet"}; }

SSLCAKE_INLINE AnyEncoder make_encoder(std::string_view name, const EncoderOptions& options) {
  const auto dash = name.find("-w");
  const std::string_view kind = name.substr(0, dash);
  std::int64_t width = 64;
  bool known = false;
  for (const auto& k : encoder_names()) known = known || k == kind;
  if (dash != std::string_view::npos) {
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + dash + 2, end, width);
    known = known && parsed.ec == std::errc{} && parsed.ptr == end && width >= 1 && width <= 4096;
  }
  if (!known) {
    std::string all;
    for (const auto& k : encoder_names()) all += (all.empty() ? "" : ", ") + k;
    fail("make_encoder", "expected one of ", all, ", with a width from 1 to 4096 behind it if wanted (\"resnet18-w16\"), got \"", name, "\"");
  }
  const ResNetOptions resnet{.stem = options.stem, .width = width};
  if (kind == "resnet18") return resnet18(resnet);
  if (kind == "resnet34") return resnet34(resnet);
  if (kind == "resnet50") return resnet50(resnet);
  return cakenet({.stem = options.stem, .width = width});
}

SSLCAKE_INLINE std::int64_t macs(const AnyEncoder& encoder, std::int64_t height, std::int64_t width) {
  if (height < 1 || width < 1) fail("macs", "expected a size of at least 1, got ", height, " x ", width);
  const AnyEncoder copy = encoder.clone();  // so that mode and statistics of the original stay
  copy.eval();
  const NoGrad no_grad;
  const MacCounter counter;
  copy.forward(zeros({1, height, width, 3}));
  return counter.total();
}

SSLCAKE_INLINE std::int64_t parameter_count(const Parameters& parameters) {
  std::int64_t n = 0;
  for (const auto& p : parameters)
    if (!p.buffer) n += p.tensor.numel();
  return n;
}

}  // namespace sslcake::inline v0::nn
