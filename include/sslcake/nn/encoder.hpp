// Encoders chosen at run time: by name, and behind one type, so that no program is compiled once per network.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "features.hpp"
#include "module.hpp"
#include "resnet.hpp"

namespace sslcake::inline v0::nn {

/// Any encoder, its type erased. A handle: copies share the network, `nn::clone` makes one of its own.
class AnyEncoder {
 public:
  AnyEncoder() = default;  // none: using it is an error
  template <class E>
    requires(Encoder<E> && !std::same_as<std::remove_cvref_t<E>, AnyEncoder>)
  AnyEncoder(E encoder) : held_(std::make_shared<Holder<E>>(std::move(encoder))) {}  // NOLINT: implicit on purpose

  bool defined() const { return held_ != nullptr; }
  Features forward(const Tensor& images) const { return held().forward(images); }
  std::int64_t dim() const { return held().dim(); }
  std::vector<std::int64_t> stage_dims() const { return held().stage_dims(); }
  Parameters state() const { return held().state(); }
  Parameters parameters() const { return held().parameters(); }
  void train(bool on = true) const { held().train(on); }
  void eval() const { train(false); }
  bool training() const { return held().training(); }
  AnyEncoder clone() const { return held().clone(); }

  /// "resnet18-w16"; "custom" for a class of the user's that has no config().
  std::string name() const { return config() ? config()->name : "custom"; }
  /// The shape of a residual network, which files store; null for a class of the user's.
  const ResNetConfig* config() const { return held().config(); }
  /// Folds batch norm into the convolutions where the encoder knows how; see ConvNormAct::fold.
  void fold() const { held().fold(); }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual Features forward(const Tensor& images) = 0;
    virtual std::int64_t dim() const = 0;
    virtual std::vector<std::int64_t> stage_dims() const = 0;
    virtual Parameters state() const = 0;
    virtual Parameters parameters() const = 0;
    virtual void train(bool on) = 0;
    virtual bool training() const = 0;
    virtual AnyEncoder clone() const = 0;
    virtual const ResNetConfig* config() const = 0;
    virtual void fold() = 0;
  };
  template <class E>
  struct Holder final : Interface {
    explicit Holder(E e) : encoder(std::move(e)) {}
    Features forward(const Tensor& images) override { return encoder.forward(images); }
    std::int64_t dim() const override { return encoder.dim(); }
    std::vector<std::int64_t> stage_dims() const override { return encoder.stage_dims(); }
    Parameters state() const override { return encoder.state(); }
    Parameters parameters() const override { return encoder.parameters(); }
    void train(bool on) override {
      encoder.train(on);
      mode = on;
    }
    bool training() const override {
      if constexpr (requires { { encoder.training() } -> std::convertible_to<bool>; }) return encoder.training();
      else return mode;
    }
    AnyEncoder clone() const override { return AnyEncoder(nn::clone(encoder)); }
    const ResNetConfig* config() const override {
      if constexpr (requires { { encoder.config() } -> std::same_as<const ResNetConfig&>; }) return &encoder.config();
      else return nullptr;
    }
    void fold() override {
      if constexpr (requires { encoder.fold(); }) encoder.fold();
    }
    E encoder;
    bool mode = true;  // of encoders that cannot tell
  };
  Interface& held() const {
    if (!held_) fail("AnyEncoder", "expected an encoder, but none was put in");
    return *held_;
  }
  std::shared_ptr<Interface> held_;
};

struct EncoderOptions {
  Stem stem = Stem::imagenet;
};

/// An encoder by name: resnet18, resnet34, resnet50 or cakenet, with a width behind it where it is not the usual 64:
/// "resnet18-w16". Another name is an error that lists these.
AnyEncoder make_encoder(std::string_view name, const EncoderOptions& options = {});
/// The names that make_encoder knows, without widths.
std::vector<std::string> encoder_names();

/// Multiply-adds of convolutions and linear layers for one picture of that size; found by running one.
std::int64_t macs(const AnyEncoder& encoder, std::int64_t height, std::int64_t width);
/// Number of trained numbers.
std::int64_t parameter_count(const Parameters& parameters);

}  // namespace sslcake::inline v0::nn

#ifndef SSLCAKE_COMPILED
#include "encoder_inl.hpp"
#endif
