// Encoders chosen at run time: by name, and behind one type, so that no program is compiled once per network.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "features.hpp"
#include "module.hpp"
#include "resnet.hpp"
#include "vit.hpp"

namespace sslcake::inline v0::nn {

/// The shape of a network, which files store and from which it can be built again.
using EncoderConfig = std::variant<ResNetConfig, ViTConfig>;

/// Any encoder, its type erased. A handle: copies share the network, `nn::clone` makes one of its own.
class AnyEncoder {
 public:
  AnyEncoder() = default;  // none: using it is an error
  template <class E>
    requires(Encoder<E> && !std::same_as<std::remove_cvref_t<E>, AnyEncoder>)
  AnyEncoder(E encoder) : held_(std::make_shared<Holder<E>>(std::move(encoder))) {}  // NOLINT: implicit on purpose
  AnyEncoder(const AnyEncoder& other) : held_(other.held_) {
    if (!held_ || !detail::CloneScope::active()) return;
    auto& copy = detail::CloneScope::copy_of(held_.get());  // this is a member of what is being cloned
    if (!copy) copy = held_->clone();
    held_ = std::static_pointer_cast<Interface>(copy);
  }
  AnyEncoder(AnyEncoder&&) noexcept = default;
  AnyEncoder& operator=(AnyEncoder other) noexcept {
    held_ = std::move(other.held_);
    return *this;
  }
  ~AnyEncoder() = default;

  bool defined() const { return held_ != nullptr; }
  Features forward(const Tensor& images) const { return held().forward(images); }
  std::int64_t dim() const { return held().dim(); }
  std::vector<std::int64_t> stage_dims() const { return held().stage_dims(); }
  Parameters state() const { return held().state(); }
  Parameters parameters() const { return held().parameters(); }
  /// Whether gradients reach its parameters (false: frozen).
  void set_requires_grad(bool on) const {
    for (auto& p : parameters()) p.tensor.set_requires_grad(on);
  }
  void train(bool on = true) const { held().train(on); }
  void eval() const { train(false); }
  bool training() const { return held().training(); }
  AnyEncoder clone() const {
    AnyEncoder own;
    own.held_ = held().clone();
    return own;
  }

  /// "resnet18-w16"; "custom" for a class of the user's that has no config().
  std::string name() const;
  /// Its shape; none for a class of the user's.
  std::optional<EncoderConfig> config() const { return held().config(); }
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
    virtual std::shared_ptr<Interface> clone() const = 0;
    virtual std::optional<EncoderConfig> config() const = 0;
    virtual void fold() = 0;
  };
  template <class E>
  struct Holder final : Interface {
    explicit Holder(E e) : encoder(std::move(e)) {}
    /// A clone, made in place: an encoder with members that cannot be moved would be copied once more on the way.
    explicit Holder(const Holder& other, int) : encoder(nn::clone(other.encoder)), mode(other.mode) {}
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
    std::shared_ptr<Interface> clone() const override { return std::make_shared<Holder>(*this, 0); }
    std::optional<EncoderConfig> config() const override {
      if constexpr (requires { EncoderConfig(encoder.config()); }) return encoder.config();
      else return std::nullopt;
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
  Stem stem = Stem::imagenet;     // of residual networks
  std::int64_t image_size = 224;  // of vision transformers: the side of the pictures
};

/// An encoder by name: resnet18, resnet34, resnet50 or cakenet, with a width behind it where it is not the usual 64,
/// "resnet18-w16"; vit_tiny, vit_small or vit_base, with a patch size where it is not the usual 16, "vit_tiny_patch4".
/// Another name is an error that lists these.
AnyEncoder make_encoder(std::string_view name, const EncoderOptions& options = {});
/// A new network of that shape.
AnyEncoder make_encoder(const EncoderConfig& config);
/// The names that make_encoder knows, without widths and patch sizes.
std::vector<std::string> encoder_names();
/// What is wrong with a name, in words ("expected one of ..."); empty if make_encoder knows it. Builds nothing.
std::string encoder_name_problem(std::string_view name);

/// Multiply-adds of convolutions, linear layers and attention for one picture of that size; found by running one.
std::int64_t macs(const AnyEncoder& encoder, std::int64_t height, std::int64_t width);
/// Number of trained numbers.
std::int64_t parameter_count(const Parameters& parameters);

}  // namespace sslcake::inline v0::nn

#ifndef SSLCAKE_COMPILED
#include "encoder_inl.hpp"
#endif
