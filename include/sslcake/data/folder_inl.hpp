#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

#include "../core/threads.hpp"
#include "../image/decode.hpp"
#include "../image/format.hpp"
#include "../image/jpeg_decoder.hpp"
#include "../image/resize.hpp"
#include "../io/files.hpp"
#include "files.hpp"
#include "folder.hpp"

namespace sslcake::inline v0::data {

namespace detail {

/// Whether the name claims a picture. Only then is a file that is none worth a complaint.
inline bool has_picture_name(const std::string& path) {
  const auto dot = path.find_last_of("./");
  if (dot == std::string::npos || path[dot] == '/') return false;
  std::string ending = path.substr(dot + 1);
  for (auto& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  constexpr std::array<std::string_view, 32> endings{
      "jpg", "jpeg", "jpe",  "jfif", "jif", "png", "apng", "bmp", "dib",  "gif",  "webp", "tif", "tiff", "psd", "tga", "ppm",
      "pgm", "pbm",  "pnm",  "pfm",  "hdr", "pic", "exr",  "dds", "avif", "heic", "heif", "jp2", "j2k",  "jxl", "jxr", "qoi"};
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

/// What stands in one folder, without dot files.
inline io::FolderListing list_visible(const std::string& path) {
  auto listing = io::list_folder(path);
  for (auto* names : {&listing.files, &listing.folders})
    std::erase_if(*names, [](const std::string& name) { return name[0] == '.'; });
  return listing;
}

/// All files below `root`/`inner`, as paths below `root`.
class FolderWalk {
 public:
  FolderWalk(const std::string& root, const std::string& inner) : root_(root) {
    visit(inner, 0);
    std::sort(files.begin(), files.end());
  }
  std::vector<std::string> files;
  std::vector<Skipped> skipped;  // folders that could not be opened

 private:
  void visit(const std::string& inner, int depth) {
    const auto path = join(root_, inner);
    auto real = io::real_path(path);
    if (real.empty() || !visited_.insert(std::move(real)).second) return;  // a link back to where we have been
    const auto listing = list_visible(path);
    if (!listing.error.empty()) skipped.push_back({inner.empty() ? "." : inner, "the folder cannot be listed: " + listing.error});
    for (const auto& name : listing.files) files.push_back(join(inner, name));
    for (const auto& name : listing.folders) {
      if (depth < 100) visit(join(inner, name), depth + 1);
      else skipped.push_back({join(inner, name), "folders are nested more than 100 deep"});
    }
  }
  std::string root_;
  std::set<std::string> visited_;
};

inline bool is_split_name(const std::string& name) { return name == "train" || name == "val" || name == "test"; }

/// The level of splits of a folder (see folder.hpp); empty where it has none.
inline std::vector<std::string> split_folders(const std::vector<std::string>& folders) {
  std::vector<std::string> splits;
  std::copy_if(folders.begin(), folders.end(), std::back_inserter(splits), is_split_name);
  const bool train = std::find(splits.begin(), splits.end(), "train") != splits.end();
  return splits.size() == folders.size() || (train && splits.size() > 1) ? splits : std::vector<std::string>{};
}

/// Two names of folders that look like a level of splits and are none ("train" and "valid", "Train" and "Test"), or nothing.
inline std::vector<std::string> misspelt_splits(const std::vector<std::string>& folders) {
  std::vector<std::string> training, testing;
  for (const auto& name : folders) {
    std::string small = name;
    for (auto& c : small)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (small == "train" || small == "training") training.push_back(name);
    for (const char* one : {"val", "valid", "validation", "dev", "test", "testing"})
      if (small == one) testing.push_back(name);
  }
  return training.empty() || testing.empty() ? std::vector<std::string>{} : std::vector{training[0], testing[0]};
}

/// At most five names with their reasons, for a message.
inline std::string first_few(const std::vector<Skipped>& skipped) {
  std::string text;
  for (std::size_t i = 0; i < skipped.size() && i < 5; ++i) text += "\n  " + skipped[i].name + ": " + skipped[i].reason;
  if (skipped.size() > 5) text += "\n  ... and " + std::to_string(skipped.size() - 5) + " more";
  return text;
}

}  // namespace detail

SSLCAKE_INLINE bool has_test_part(const std::string& path) {
  const auto splits = detail::split_folders(detail::list_visible(path).folders);
  return std::any_of(splits.begin(), splits.end(), [](const std::string& name) { return name != "train"; });
}

struct ImageFolder::State {
  std::string root;
  FolderOptions options;
  std::vector<std::string> paths;  // below root, sorted
  std::vector<std::int64_t> labels;
  std::vector<std::string> class_names;
  std::int64_t ignored = 0;
  mutable std::mutex mutex;                      // guards what pictures turn out to be while training
  std::map<std::string, std::string> unreadable;  // path: reason

  image::Image read(std::size_t i) const {
    const auto path = detail::join(root, paths[i]);
    auto picture = options.decode_size > 0 ? image::load_at_least(std::max(options.decode_size, options.short_side), path)
                                           : image::load(path);
    const bool large = options.short_side > 0 && std::min(picture.width, picture.height) > options.short_side;
    return large ? image::resize_short_side(picture, options.short_side) : picture;
  }

  bool opens(std::size_t i) const {
    try {
      const io::InputFile only_opened(detail::join(root, paths[i]));
      return true;
    } catch (const TemporaryError&) {
      throw;
    } catch (const Error&) {
      return false;
    }
  }
  /// Fails where not only picture `i` is gone: a disk that was taken out, a folder that was renamed. Its pictures are not
  /// unreadable, and to go on with those that are in memory would train on a few of them in silence.
  void expect_others_open(std::size_t i) const {
    constexpr std::size_t probes = 8;
    if (opens(i)) return;
    for (std::size_t k = 0; k < probes; ++k)
      if (const auto other = k * paths.size() / probes; other != i && opens(other)) return;
    throw TemporaryError(concat("[ImageFolder] '", detail::join(root, paths[i]),
                                "' can no longer be opened, and others neither; put the "
                                "pictures of '",
                                root, "' back in their place, then begin again, or go on with resume"));
  }

  /// Keeps the files that start like a picture; the others are ignored, or skipped where their name claims one.
  void look_at(std::vector<std::string> files) {
    std::vector<std::string> verdicts(files.size());  // empty: a picture; "-": ignored; otherwise why it is skipped
    parallel_for(static_cast<std::int64_t>(files.size()), 64, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) verdicts[i] = verdict(files[i]);
    });
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (verdicts[i].empty()) paths.push_back(std::move(files[i]));
      else if (verdicts[i] == "-") ++ignored;
      else unreadable.emplace(std::move(files[i]), std::move(verdicts[i]));
    }
  }

  std::string verdict(const std::string& file) const {
    const bool named = detail::has_picture_name(file);
    try {
      const io::InputFile input(detail::join(root, file));
      std::array<std::uint8_t, 256> start{};
      const auto count = std::min<std::uint64_t>(start.size(), input.size());
      input.read(0, start.data(), count);
      const auto format = image::detect_format(start.data(), static_cast<std::size_t>(count));
      if (image::is_supported(format)) return {};
      if (!named) return "-";
      if (count == 0) return "the file is empty";
      return concat("expected a JPEG, PNG or BMP picture, found ",
                    format == image::Format::unknown ? "something else" : image::name_of(format));
    } catch (const TemporaryError&) {
      throw;
    } catch (const Error& error) {
      return named ? error.what() : "-";
    }
  }
};

SSLCAKE_INLINE ImageFolder::~ImageFolder() = default;

SSLCAKE_INLINE ImageFolder::ImageFolder(const std::string& path, const FolderOptions& options)
    : state_(std::make_unique<State>()) {
  auto& s = *state_;
  s.root = path.empty() ? "." : path;
  s.options = options;
  if (options.short_side < 0)
    fail("ImageFolder", "expected a short_side of at least 1, or 0 to keep the size, got ", options.short_side);
  if (options.decode_size < 0)
    fail("ImageFolder", "expected a decode_size of at least 1, or 0 to decode in full, got ", options.decode_size);
  image::jpeg_decoder();  // a wrong SSLCAKE_JPEG is an error here, and not that of each picture
  if (io::is_file(s.root)) fail("ImageFolder", "expected a folder of pictures, '", path, "' is a file");
  if (!io::is_folder(s.root))
    fail("ImageFolder", "there is no folder '", path, "'; check the path",
         path.starts_with("~/") ? " (a shell expands ~ at the beginning of a word only: write $HOME)" : "");
  const auto top = detail::list_visible(s.root);
  if (!top.error.empty()) fail("ImageFolder", "cannot list the folder '", path, "': ", top.error);
  if (top.folders.empty() && top.files.empty())
    fail("ImageFolder", "the folder '", path, "' is empty; put JPEG, PNG or BMP pictures into it");

  const auto splits = detail::split_folders(top.folders);
  std::string inner;  // the split's folder
  if (const auto names = detail::misspelt_splits(top.folders); splits.empty() && !names.empty())
    fail("ImageFolder", "expected the parts of a data set to be called 'train', 'val' and 'test', found '", names[0], "' and '",
         names[1], "' in '", path, "'; rename them, or give the path of one of them");
  if (splits.empty() && options.split == Split::test)
    fail("ImageFolder", "expected a folder 'test' or 'val' in '", path, "' to test on, found none; ",
         "sort the pictures into 'train' and 'test', or hold some of them out (data::hold_out)");
  if (!splits.empty()) {
    for (const char* name : {"test", "val", "train"})
      if (std::find(splits.begin(), splits.end(), name) != splits.end() &&
          (name == std::string_view("train")) == (options.split != Split::test) && inner.empty())
        inner = name;
    if (inner.empty())
      fail("ImageFolder", "expected a folder '", options.split == Split::test ? "test' or 'val" : "train", "' in '", path,
           "', found only '", splits[0], "'; to use that one, give its own path");
  }

  std::set<std::string> classes;
  for (const auto& split : splits)
    for (auto& name : detail::list_visible(detail::join(s.root, split)).folders) classes.insert(std::move(name));
  if (splits.empty()) classes.insert(top.folders.begin(), top.folders.end());
  s.class_names.assign(classes.begin(), classes.end());

  detail::FolderWalk walk(s.root, inner);
  for (auto& folder : walk.skipped) s.unreadable.emplace(std::move(folder.name), std::move(folder.reason));
  const auto found = walk.files.size();
  s.look_at(std::move(walk.files));
  const auto skipped_now = skipped();
  if (s.paths.empty())
    fail("ImageFolder", "found no JPEG, PNG or BMP picture among the ", found, " files in '", detail::join(s.root, inner), "'",
         skipped_now.empty() ? "" : "; not usable are:", detail::first_few(skipped_now));
  if (options.strict && !skipped_now.empty())
    fail("ImageFolder", skipped_now.size(), " files in '", path, "' cannot be used, and strict asks for all of them:",
         detail::first_few(skipped_now));

  for (const auto& file : s.paths) {
    const auto begin = inner.empty() ? 0 : inner.size() + 1, slash = file.find('/', begin);
    const auto name = slash == std::string::npos
                          ? s.class_names.end()
                          : std::lower_bound(s.class_names.begin(), s.class_names.end(), file.substr(begin, slash - begin));
    s.labels.push_back(name == s.class_names.end() ? -1 : name - s.class_names.begin());
  }
  // One readable picture is enough to start with. Where there is none, better say so now than in the first batch.
  for (std::size_t i = 0; i < s.paths.size(); ++i) {
    try {
      image(static_cast<std::int64_t>(i));
      return;
    } catch (const UnreadablePicture&) {
    }
  }
  fail("ImageFolder", "none of the ", s.paths.size(), " pictures in '", detail::join(s.root, inner), "' can be read:",
       detail::first_few(skipped()));
}

SSLCAKE_INLINE std::int64_t ImageFolder::size() const { return static_cast<std::int64_t>(state_->paths.size()); }
SSLCAKE_INLINE std::vector<std::string> ImageFolder::class_names() const { return state_->class_names; }
SSLCAKE_INLINE std::int64_t ImageFolder::ignored() const { return state_->ignored; }

SSLCAKE_INLINE image::Image ImageFolder::image(std::int64_t i) const {
  detail::check_index(i, size(), "ImageFolder::image");
  auto& s = *state_;
  const auto& path = s.paths[static_cast<std::size_t>(i)];
  std::string reason;
  {
    const std::lock_guard lock(s.mutex);
    if (const auto known = s.unreadable.find(path); known != s.unreadable.end()) reason = known->second;
  }
  if (reason.empty()) {
    try {
      return s.read(static_cast<std::size_t>(i));
    } catch (const TemporaryError&) {
      throw;  // it says nothing about the picture
    } catch (const Error& error) {
      reason = error.what();
    }
    s.expect_others_open(static_cast<std::size_t>(i));
    const std::lock_guard lock(s.mutex);
    s.unreadable.emplace(path, reason);
  }
  const auto message = concat("[ImageFolder] cannot read '", detail::join(s.root, path), "': ", reason);
  if (s.options.strict) throw Error(message);
  throw UnreadablePicture(message);
}

SSLCAKE_INLINE std::int64_t ImageFolder::label(std::int64_t i) const {
  detail::check_index(i, size(), "ImageFolder::label");
  return state_->labels[static_cast<std::size_t>(i)];
}

SSLCAKE_INLINE std::string ImageFolder::name(std::int64_t i) const {
  detail::check_index(i, size(), "ImageFolder::name");
  return state_->paths[static_cast<std::size_t>(i)];
}

SSLCAKE_INLINE std::vector<Skipped> ImageFolder::skipped() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<Skipped> out;
  for (const auto& [name, reason] : state_->unreadable) out.push_back({name, reason});
  return out;
}

}  // namespace sslcake::inline v0::data
