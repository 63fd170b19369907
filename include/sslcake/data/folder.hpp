// Pictures in a folder and in the folders below it: JPEG, PNG and BMP, recognised by their content and not by their names.
//
//   photos/a.jpg                     no labels
//   photos/cat/1.jpg                 the first level of folders is the class
//   photos/train/cat/1.jpg           a level of train, val and test above it is the split
//
// The level of splits is recognised where every folder has one of these three names, or where `train` stands beside `val`
// or `test` (a lone `train` among other folders is a class of railway pictures). Names that only resemble these (`Train`
// beside `valid`) are an error: they would be taken for classes. Split::test is `test`, or `val` where
// there is no `test`. Classes are numbered in the order of their names, over all splits together.
//
// The order of the pictures is that of their paths, byte by byte: it depends neither on the file system nor on the locale.
// Names that start with a dot are passed over. Links are followed; every real folder is visited once, so they may loop.
//
// Opening a folder looks at the first bytes of each file; a picture is decoded when it is asked for. A file that claims to
// be a picture and is none is skipped, counted and named in skipped(), whenever that is found out.
#pragma once

#include "dataset.hpp"

namespace sslcake::inline v0::data {

struct FolderOptions {
  Split split = Split::train;
  bool strict = false;   // an unreadable picture is an error instead of being skipped
  int short_side = 0;    // pictures whose shorter side is longer than this are reduced to it as they are read; 0: never
  // Pictures are decoded at 1/2, 1/4 or 1/8 of their size where this, and short_side, still fit into the shorter side
  // (image::decode_at_least); 0: in full. Faster, and other pixels: the smallest crops have less detail to enlarge.
  int decode_size = 0;
};

class ImageFolder : public Dataset {
 public:
  /// Fails where the folder is missing, is empty, has no such split, or has no picture that can be read.
  explicit ImageFolder(const std::string& path, const FolderOptions& options = {});
  SSLCAKE_INLINE ~ImageFolder() override;
  SSLCAKE_INLINE std::int64_t size() const override;
  /// Throws UnreadablePicture (Error where `strict`) with the file's name and what is wrong with it;
  /// TemporaryError where the system could not open it just then, or can open none any more, which says nothing about the
  /// picture and ends a run.
  SSLCAKE_INLINE image::Image image(std::int64_t i) const override;
  SSLCAKE_INLINE std::int64_t label(std::int64_t i) const override;
  /// The path below the folder that was opened, for example "train/cat/1.jpg".
  SSLCAKE_INLINE std::string name(std::int64_t i) const override;
  SSLCAKE_INLINE std::vector<std::string> class_names() const override;
  SSLCAKE_INLINE std::vector<Skipped> skipped() const override;
  /// Files that neither are pictures nor have a picture's name: lists, notes, thumbnail databases.
  std::int64_t ignored() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Whether the folder has a level of splits with `test` or `val` among them: what Split::test would open. False where it
/// cannot be listed.
bool has_test_part(const std::string& path);

}  // namespace sslcake::inline v0::data

#ifndef SSLCAKE_COMPILED
#include "folder_inl.hpp"
#endif
