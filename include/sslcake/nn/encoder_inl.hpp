#pragma once

#include <charconv>

#include "cakenet.hpp"
#include "encoder.hpp"
#include "resnet.hpp"
#include "vit.hpp"

namespace sslcake::inline v0::nn {

SSLCAKE_INLINE std::vector<std::string> encoder_names() {
  return {"resnet18", "resnet34", "resnet50", "cakenet", "vit_tiny", "vit_small", "vit_base"};
}

SSLCAKE_INLINE std::string AnyEncoder::name() const {
  const auto shape = config();
  return shape ? std::visit([](const auto& c) { return c.name; }, *shape) : "custom";
}

namespace detail {
/// A kind of encoder and the number behind it: "resnet18-w16", "vit_tiny_patch4".
struct EncoderName {
  std::string_view kind;  // empty: unknown
  std::int64_t number;
};

inline EncoderName parse_encoder_name(std::string_view name) {
  const bool transformer = name.rfind("vit_", 0) == 0;
  const std::string_view mark = transformer ? "_patch" : "-w";
  EncoderName out{name, transformer ? 16 : 64};
  if (const auto at = name.find(mark); at != std::string_view::npos) {
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + at + mark.size(), end, out.number);
    const bool good = parsed.ec == std::errc{} && parsed.ptr == end && out.number >= 1 && out.number <= 4096;
    out.kind = good ? name.substr(0, at) : std::string_view();
  }
  for (const auto& known : encoder_names())
    if (known == out.kind) return out;
  return {{}, 0};
}
}  // namespace detail

SSLCAKE_INLINE std::string encoder_name_problem(std::string_view name) {
  if (!detail::parse_encoder_name(name).kind.empty()) return "";
  std::string all;
  for (const auto& known : encoder_names()) all += known + ", ";
  return concat(
      "expected one of ", all,
      "with a width (\"resnet18-w16\") or a patch size (\"vit_tiny_patch4\") from 1 to 4096 behind it if wanted, got \"", name,
      "\"");
}

SSLCAKE_INLINE AnyEncoder make_encoder(std::string_view name, const EncoderOptions& options) {
  const auto [kind, number] = detail::parse_encoder_name(name);
  if (kind.empty()) fail("make_encoder", encoder_name_problem(name));
  const ViTOptions vit{.image_size = options.image_size, .patch = number};
  if (kind == "vit_tiny") return vit_tiny(vit);
  if (kind == "vit_small") return vit_small(vit);
  if (kind == "vit_base") return vit_base(vit);
  const ResNetOptions resnet{.stem = options.stem, .width = number};
  if (kind == "resnet18") return resnet18(resnet);
  if (kind == "resnet34") return resnet34(resnet);
  if (kind == "resnet50") return resnet50(resnet);
  return cakenet({.stem = options.stem, .width = number});
}

SSLCAKE_INLINE AnyEncoder make_encoder(const EncoderConfig& config) {
  if (const auto* resnet = std::get_if<ResNetConfig>(&config)) return ResNet(*resnet);
  return ViT(std::get<ViTConfig>(config));
}

SSLCAKE_INLINE std::int64_t macs(const AnyEncoder& encoder, std::int64_t height, std::int64_t width) {
  if (height < 1 || width < 1) fail("macs", "expected a size of at least 1, got ", height, " x ", width);
  const AnyEncoder copy = encoder.clone();  // so that mode and statistics of the original stay
  copy.eval();
  const NoGrad no_grad;
  const MacCounter counter;
  copy.forward(zeros({1, height, width, 3}, DType::float32, device_of(copy.parameters())));
  return counter.total();
}

SSLCAKE_INLINE std::int64_t parameter_count(const Parameters& parameters) {
  std::int64_t n = 0;
  for (const auto& p : parameters)
    if (!p.buffer) n += p.tensor.numel();
  return n;
}

}  // namespace sslcake::inline v0::nn
