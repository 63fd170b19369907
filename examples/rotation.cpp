// Rotation prediction: pretrains an encoder without labels by asking which way is up (arXiv 1803.07728).
//
//   rotation --data cifar10:DIR --out runs/rotation --epochs 50
#include <sslcake/pretext/rotation.hpp>

#include "support/pretrain.hpp"

using namespace sslcake;

int main(int argc, char** argv) {
  support::Options options{.program = "rotation",
                           .about = "Pretrains an encoder without labels: which of four ways was the picture turned?",
                           .out = "runs/rotation",
                           .encoder = "cakenet",
                           .batch = 128,
                           .lr = 0.1};
  options.encoder_is_name = true;
  float smallest_crop = 0.5f;
  options.extras = {{"--smallest-crop", &smallest_crop, "smallest share of the picture that a view shows", 0.01, 1}};
  support::Pretraining pretraining;
  support::add_pretraining_options(options, pretraining);

  return support::main_guard(argc, argv, options, [&] {
    const auto source = support::open_source(options, pretraining);
    const auto recipe = augment::Recipe(source.view_size)
                            .then(augment::RandomResizedCrop{.scale_low = smallest_crop})
                            .then(augment::Flip{})
                            .normalised(source.normalisation);
    const auto encoder = support::make_encoder(options, pretraining, source);
    auto task = pretext::Rotation{encoder, {.recipe = recipe}};
    auto trainer = train::Trainer{task, support::make_optimizer(options, pretraining, task.parameters())};
    const auto fit = support::start_run(options, pretraining, source, encoder, task.views());
    support::finish_run(options, source, encoder, trainer.fit(source.train, fit));
  });
}
