// encoder.safetensors: an encoder with everything needed to use it, in a form that Python reads too.
//
//   auto encoder = nn::load("encoder.safetensors");                  // one line, in a program of one's own
//   std::vector<float> f = encoder.features(rgb, width, height);
//
// The tensors are torchvision's in name, shape and order of axes, so that for the ImageNet stem and width 64
//   model = torchvision.models.resnet18(); model.fc = torch.nn.Identity()
//   model.load_state_dict(safetensors.torch.load_file("encoder.safetensors"), strict=True)
// is all; for vision transformers they are timm's: timm.create_model("vit_small_patch16_224", num_classes=0). The metadata,
// text by text: sslcake_format, sslcake_version, architecture, config (JSON, the shape of the network), input_size, mean,
// deviation (JSON), and notes of one's own.
#pragma once

#include <string>
#include <vector>

#include "encoder.hpp"
#include "extractor.hpp"

namespace sslcake::inline v0::nn {

/// The format that save_encoder writes, and the newest that load reads.
inline constexpr int encoder_format = 1;

/// Writes atomically. An encoder of a class of one's own has no description that `load` could build it from; its file is
/// written without one and read with `load_into`.
void save_encoder(const std::string& path, const AnyEncoder& encoder, const EncoderInfo& info = {});

struct LoadOptions {
  std::string encoder{};            // for files that do not say it (torchvision's): "resnet18", "resnet50-w32", ...
  Stem stem = Stem::imagenet;       // and its stem,
  std::int64_t image_size = 224;    // or the pictures' size, of a transformer
  std::vector<std::string> strip{};   // beginnings to be cut off every name that has them, in turn: {"module.", "backbone."}
  std::vector<std::string> ignore{};  // names (then) that begin so are left alone on both sides: {"fc.", "projection_head."}
};

/// A loaded encoder. Copies share it.
class Pretrained {
 public:
  Pretrained(AnyEncoder encoder, EncoderInfo info);
  /// To train on, or to take features of every stage from. In evaluation mode at first.
  const AnyEncoder& encoder() const { return encoder_; }
  const EncoderInfo& info() const { return info_; }
  /// The same, folded for inference, made at the first call and kept: later changes of encoder() do not reach it.
  const Extractor& extractor() const;
  /// Features of one picture of any size: rgb is (height,width,3), 8 bits, red first. See Extractor.
  std::vector<float> features(const std::uint8_t* rgb, int width, int height) const {
    return extractor().features(rgb, width, height);
  }

 private:
  struct Lazy;
  AnyEncoder encoder_;
  EncoderInfo info_;
  std::shared_ptr<Lazy> lazy_;
};

/// Builds the network that the file describes and reads its tensors. Errors, each saying what to do: a file of a newer
/// format, without description (say LoadOptions::encoder), or of other tensors than the network's (all listed at once).
Pretrained load(const std::string& path, const LoadOptions& options = {});
/// Reads the tensors into a network that is there; the file need not describe it.
EncoderInfo load_into(const AnyEncoder& encoder, const std::string& path, const LoadOptions& options = {});

}  // namespace sslcake::inline v0::nn

#ifndef SSLCAKE_COMPILED
#include "encoder_file_inl.hpp"
#endif
