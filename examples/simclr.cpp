// SimCLR: pretrains an encoder without labels by letting two views of a picture find each other (arXiv 2002.05709).
//
//   simclr --data cifar10:DIR --out runs/first --epochs 100
//   evaluate --run runs/first --data cifar10:DIR
#include <sslcake/pretext/simclr.hpp>

#include "support/pretrain.hpp"

using namespace sslcake;

int main(int argc, char** argv) {
  support::Options options{.program = "simclr",
                           .about = "Pretrains an encoder without labels: two views of a picture must find each other.",
                           .out = "runs/simclr",
                           .encoder = "cakenet"};
  options.encoder_is_name = true;
  pretext::SimCLROptions simclr;
  // Crops as in MoCo's code, not the paper's 0.08: of a small picture too little would be left.
  float strength = simclr.augmentation.strength, smallest_crop = 0.2f, grey = simclr.augmentation.grey;
  bool blur = false;
  options.extras = {{"--temperature", &simclr.temperature, "of the loss", 1e-3, 100},
                    {"--projection", &simclr.projection, "width of the vectors that are compared", 2, 65536},
                    {"--hidden", &simclr.hidden, "width inside the projection head, 0: that of the features", 0, 65536},
                    {"--strength", &strength, "of the colour jitter", 0, 2},
                    {"--smallest-crop", &smallest_crop, "smallest share of the picture that a view shows", 0.01, 1},
                    {"--grey", &grey, "probability of a grey view", 0, 1},
                    {"--blur", &blur, "Gaussian blur in half of the views"}};
  support::Pretraining pretraining;
  support::add_pretraining_options(options, pretraining);

  return support::main_guard(argc, argv, options, [&] {
    const auto source = support::open_source(options, pretraining);
    simclr.augmentation = {.size = source.view_size, .strength = strength, .smallest_crop = smallest_crop,
                           .grey = grey, .blur = blur, .normalisation = source.normalisation};
    const auto encoder = support::make_encoder(options, pretraining, source);
    auto task = pretext::SimCLR{encoder, simclr};
    auto trainer = train::Trainer{task, support::make_optimizer(options, pretraining, task.parameters())};
    const auto fit = support::start_run(options, pretraining, source, encoder, task.views());
    support::finish_run(options, source, encoder, trainer.fit(source.train, fit));
  });
}
