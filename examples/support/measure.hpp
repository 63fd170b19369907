// What the programs share that use an encoder: finding it, feeding it as it was trained, opening the pictures.
#pragma once

#include <sslcake/augment/recipe.hpp>
#include <sslcake/data/dataset.hpp>
#include <sslcake/nn/encoder_file.hpp>

#include "support/program.hpp"

namespace support {

/// Lets --run DIR stand for what the run in DIR left: its encoder, its pictures (if --data is not given) and, where
/// results go (if --out is not given), DIR itself. To be called first in a program's body. Errors: UsageError; a run that does
/// not say which pictures it had.
void adopt_run(Options& options, const std::string& run);

/// The encoder of --encoder FILE, and the recipe that makes of a picture what it wants to see: the size it was trained
/// on (--size: another), normalised as it was.
struct Measured {
  sslcake::nn::AnyEncoder encoder;
  sslcake::nn::EncoderInfo info;
  int size = 0;
  sslcake::augment::Recipe recipe{};
  sslcake::augment::Normalisation normalisation;
};
Measured load_encoder(const Options& options);

/// One part of --data, at most --limit pictures; files that turned out to be unreadable are named on stderr by `name_skipped`.
sslcake::data::DatasetPtr open_part(const Options& options, sslcake::data::Split split, int size);
/// A part may be null.
void name_skipped(const Options& options, std::initializer_list<sslcake::data::DatasetPtr> parts);

/// Whether --data has pictures to test on: not a folder without a level of splits.
bool has_test_part(const std::string& spec);

/// How many pictures have no label, and which is the first; empty where all have one.
std::string unlabelled(const sslcake::data::Dataset& pictures);

/// Train and test pictures, all with labels. A folder without a test part is cut in two: a fifth is held out.
struct LabelledParts {
  sslcake::data::DatasetPtr train, test;
  bool held_out = false;
};
LabelledParts open_labelled(const Options& options, int size);

}  // namespace support
