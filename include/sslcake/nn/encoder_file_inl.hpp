#pragma once

#include <algorithm>
#include <mutex>
#include <optional>

#include "../io/json.hpp"
#include "../io/safetensors.hpp"
#include "encoder_file.hpp"

namespace sslcake::inline v0::nn {
namespace detail {

using Metadata = std::map<std::string, std::string>;

inline io::Json to_json(const ResNetConfig& c) {
  io::Json json;
  json.set("kind", "resnet").set("name", c.name).set("bottleneck", c.bottleneck).set("widths", c.widths).set("blocks", c.blocks);
  json.set("stem_kernel", c.stem_kernel)
      .set("stem_stride", c.stem_stride)
      .set("stem_width", c.stem_width)
      .set("stem_pool", c.stem_pool);
  return json;
}

inline io::Json to_json(const ViTConfig& c) {
  io::Json json;
  json.set("kind", "vit").set("name", c.name).set("image_size", c.image_size).set("patch", c.patch).set("width", c.width);
  json.set("depth", c.depth).set("heads", c.heads).set("mlp_width", c.mlp_width);
  return json;
}

inline EncoderConfig config_from_json(const io::Json& json) {
  const std::string kind = json.at("kind").as_string();
  if (kind == "vit") {
    ViTConfig c;
    c.name = json.at("name").as_string();
    c.image_size = json.at("image_size").as_int();
    c.patch = json.at("patch").as_int();
    c.width = json.at("width").as_int();
    c.depth = json.at("depth").as_int();
    c.heads = json.at("heads").as_int();
    c.mlp_width = json.at("mlp_width").as_int();
    return c;
  }
  if (kind != "resnet") fail("load", "expected a network of kind resnet or vit, got \"", kind.substr(0, 60), "\"");
  ResNetConfig c;
  c.name = json.at("name").as_string();
  c.bottleneck = json.at("bottleneck").as_bool();
  for (const auto& n : json.at("widths").items()) c.widths.push_back(n.as_int());
  for (const auto& n : json.at("blocks").items()) c.blocks.push_back(n.as_int());
  c.stem_kernel = json.at("stem_kernel").as_int();
  c.stem_stride = json.at("stem_stride").as_int();
  c.stem_width = json.at("stem_width").as_int();
  c.stem_pool = json.at("stem_pool").as_bool();
  return c;
}

/// Whether the network of the description could have come from this file. A few bytes of JSON can ask for a network
/// that fills the memory, so the first weights are compared before it is built.
inline void check_plausible(const EncoderConfig& config, const StateDict& tensors) {
  std::int64_t layers = 0, widest = 0, present = 0, kernel = 0;
  const auto at_most = [](std::int64_t n) { return n > 0 && n < 100'000 ? n : 100'000; };
  if (const auto* resnet = std::get_if<ResNetConfig>(&config)) {
    for (const auto n : resnet->blocks) layers += at_most(n);
    widest = resnet->stem_width;
    for (const auto w : resnet->widths) widest = std::max(widest, w);
    kernel = resnet->stem_kernel;
  } else {
    const auto& vit = std::get<ViTConfig>(config);
    layers = at_most(vit.depth);
    widest = std::max(vit.width, vit.mlp_width);
    kernel = vit.patch;
    const Tensor* positions = find(tensors, "pos_embed");
    const std::int64_t side = vit.patch > 0 ? at_most(vit.image_size) / at_most(vit.patch) : 0;
    if (!positions || positions->rank() != 3 || positions->dim(1) != side * side + 1)
      fail("load", "the described transformer has ", side * side + 1, " positions, the file's pos_embed: ",
           positions ? positions->shape().str() : std::string("none"));
  }
  for (const auto& [name, t] : tensors) present = std::max(present, t.rank() > 0 ? t.dim(0) : 0);
  if (layers > static_cast<std::int64_t>(tensors.size()) || widest > present || kernel > 1000 || kernel < 1)
    fail("load", "the described network (", layers, " blocks, ", widest, " channels) is larger than the ", tensors.size(),
         " tensors of the file");
}

inline std::array<float, 3> three_from_json(const std::string& text) {
  const io::Json json = io::Json::parse(text);
  if (json.size() != 3 || !json.is_array()) fail("load", "expected three numbers, got ", text.substr(0, 60));
  std::array<float, 3> out;
  for (std::size_t i = 0; i < 3; ++i) out[i] = static_cast<float>(json.items()[i].as_double());
  return out;
}

inline const std::string* find(const Metadata& metadata, const char* key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

inline EncoderInfo info_from(Metadata metadata) {
  EncoderInfo info;
  if (const auto* format = find(metadata, "sslcake_format")) {
    const io::Json number = io::Json::parse(*format);
    const auto* version = find(metadata, "sslcake_version");
    info.format = static_cast<int>(std::clamp<std::int64_t>(number.as_int(), 0, 1'000'000));
    if (info.format < 1 || info.format > encoder_format)
      fail("load", "the file has format ", number.as_int(), ", written by sslcake ",
           version ? version->substr(0, 40) : "of unknown version",
           "; this is sslcake " SSLCAKE_VERSION_STRING ", which reads formats 1 to ", encoder_format,
           ". Update sslcake to read it");
  }
  if (const auto* v = find(metadata, "sslcake_version")) info.version = *v;
  if (const auto* v = find(metadata, "architecture")) info.architecture = *v;
  if (const auto* v = find(metadata, "input_size"))
    info.input_size = static_cast<int>(std::clamp<std::int64_t>(io::Json::parse(*v).as_int(), 0, 100'000));
  if (const auto* v = find(metadata, "mean")) info.mean = three_from_json(*v);
  if (const auto* v = find(metadata, "deviation")) info.deviation = three_from_json(*v);
  for (const char* key :
       {"sslcake_format", "sslcake_version", "architecture", "config", "input_size", "mean", "deviation", "format"})
    metadata.erase(key);
  info.notes = std::move(metadata);
  return info;
}

inline StateDict renamed(StateDict tensors, const LoadOptions& options) {
  for (auto& [name, tensor] : tensors)
    for (const auto& beginning : options.strip)
      if (name.compare(0, beginning.size(), beginning) == 0) name.erase(0, beginning.size());
  return tensors;
}

inline void copy_tensors(const AnyEncoder& encoder, const StateDict& tensors, const LoadOptions& options) {
  try {
    io::copy_state("load", encoder.state(), renamed(tensors, options),
                   {.axes = io::Axes::theirs, .ignore = options.ignore, .may_miss = {"num_batches_tracked"}});
  } catch (const Error& e) {
    throw Error(
        std::string(e.what()) +
        "\nLoadOptions::strip cuts prefixes such as \"module.\" off, LoadOptions::ignore leaves out what begins with \"fc.\"");
  }
}

}  // namespace detail

SSLCAKE_INLINE void save_encoder(const std::string& path, const AnyEncoder& encoder, const EncoderInfo& info) {
  io::SafeTensors file;
  file.tensors = io::to_state_dict(encoder.state(), io::Axes::theirs);
  file.metadata = info.notes;
  auto& m = file.metadata;
  m["format"] = "pt";  // other libraries look for it: tensors laid out as PyTorch's
  m["sslcake_format"] = std::to_string(encoder_format);
  m["sslcake_version"] = SSLCAKE_VERSION_STRING;
  m["architecture"] = encoder.name();
  if (const auto config = encoder.config())
    m["config"] = std::visit([](const auto& c) { return detail::to_json(c).dump(); }, *config);
  m["input_size"] = std::to_string(info.input_size);
  m["mean"] = io::Json(std::vector<float>(info.mean.begin(), info.mean.end())).dump();
  m["deviation"] = io::Json(std::vector<float>(info.deviation.begin(), info.deviation.end())).dump();
  io::save_safetensors(path, file);
}

SSLCAKE_INLINE Pretrained load(const std::string& path, const LoadOptions& options) {
  const auto file = io::load_safetensors(path);
  try {
    EncoderInfo info = detail::info_from(file.metadata);
    AnyEncoder encoder;
    if (!options.encoder.empty()) {
      encoder = make_encoder(options.encoder, {.stem = options.stem, .image_size = options.image_size});
    } else {
      const auto* text = detail::find(file.metadata, "config");
      if (!text)
        fail("load",
             "the file does not describe its network; say which it is, for example nn::load(path, {.encoder = \"resnet18\", "
             ".ignore = {\"fc.\"}}), "
             "or read it into a network of yours with nn::load_into");
      const EncoderConfig config = detail::config_from_json(io::Json::parse(*text));
      detail::check_plausible(config, file.tensors);
      encoder = make_encoder(config);
    }
    info.architecture = encoder.name();
    detail::copy_tensors(encoder, file.tensors, options);
    encoder.eval();
    return Pretrained(std::move(encoder), std::move(info));
  } catch (const Error& e) {
    throw Error(std::string(e.what()) + " (" + path + ")");
  }
}

SSLCAKE_INLINE EncoderInfo load_into(const AnyEncoder& encoder, const std::string& path, const LoadOptions& options) {
  const auto file = io::load_safetensors(path);
  try {
    EncoderInfo info = detail::info_from(file.metadata);
    detail::copy_tensors(encoder, file.tensors, options);
    return info;
  } catch (const Error& e) {
    throw Error(std::string(e.what()) + " (" + path + ")");
  }
}

struct Pretrained::Lazy {
  std::once_flag once;
  std::optional<Extractor> extractor;
};
SSLCAKE_INLINE Pretrained::Pretrained(AnyEncoder encoder, EncoderInfo info)
    : encoder_(std::move(encoder)), info_(std::move(info)), lazy_(std::make_shared<Lazy>()) {}
SSLCAKE_INLINE const Extractor& Pretrained::extractor() const {
  std::call_once(lazy_->once, [this] { lazy_->extractor.emplace(encoder_, info_); });
  return *lazy_->extractor;
}

}  // namespace sslcake::inline v0::nn
