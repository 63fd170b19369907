// Features from pictures in memory: resize, crop, normalise, and a network folded for inference.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "../image/image.hpp"
#include "encoder.hpp"

namespace sslcake::inline v0::nn {

/// What one must know of an encoder to feed it.
struct EncoderInfo {
  int input_size = 0;                       // side of the square pictures that it was trained on; 0: any size is taken as it is
  std::array<float, 3> mean{0, 0, 0};       // pictures are given as (rgb / 255 - mean) / deviation
  std::array<float, 3> deviation{1, 1, 1};
  std::map<std::string, std::string> notes{};  // anything: data set, epochs, seed
  // Found in a file, ignored when writing one:
  std::string architecture{};               // "resnet18-w16"
  std::string version{};                    // of the sslcake that wrote it
  int format = 0;                           // 0: the file is another program's
};

/// Computes features of pictures. Safe to call from several threads.
class Extractor {
 public:
  /// Copies the encoder, folds batch norm into its convolutions and puts it into evaluation mode.
  /// Errors: a deviation that is not above 0, an input size outside of 0 to 16384.
  explicit Extractor(const AnyEncoder& encoder, const EncoderInfo& info = {});

  std::int64_t dim() const { return encoder_.dim(); }
  /// The pooled features (D) of one picture: rgb is (height,width,3), 8 bits, red first, of any size. Where the encoder
  /// has an input size, the shorter side is resized to it and the middle square cut out.
  /// Errors: no pointer, sides outside of 1 to 65536.
  std::vector<float> features(const std::uint8_t* rgb, int width, int height) const;
  /// Features (N,D) of several pictures; without an input size all must be of one size.
  Tensor features(const std::vector<image::Image>& pictures) const;
  /// All features of pictures that are tensors already, (N,H,W,3), normalised as `info` says.
  Features forward(const Tensor& images) const;

 private:
  AnyEncoder encoder_;
  EncoderInfo info_;
};

}  // namespace sslcake::inline v0::nn

#ifndef SSLCAKE_COMPILED
#include "extractor_inl.hpp"
#endif
