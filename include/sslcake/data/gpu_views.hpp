// Views that the GPU makes (internal): the host draws what is random about each, as it does for itself, and sends it up with
// the pictures' bytes, unless all pictures of the data set are there already.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "../core/tensor.hpp"
#include "../core/threads.hpp"
#include "../kernels/cuda/table.hpp"
#include "../image/colour.hpp"
#include "dataset.hpp"

namespace sslcake::inline v0::data::detail {

/// All pictures of a data set on the GPU, (N,height,width,3) bytes; undefined where they may not take `most` bytes.
inline Tensor upload_pictures(const Dataset& dataset, int width, int height, double most) {
  const std::int64_t count = dataset.size(), bytes = std::int64_t{width} * height * 3;
  if (static_cast<double>(count) * static_cast<double>(bytes) > most) return {};
  Tensor all({count, height, width, 3}, DType::uint8, Device::cuda);
  auto* to = static_cast<std::uint8_t*>(all.mutable_address());
  const auto part = std::max(std::int64_t{1}, (std::int64_t{8} << 20) / bytes);  // pictures that go up together
  std::vector<std::uint8_t> staged(static_cast<std::size_t>(std::min(part, count) * bytes));
  for (std::int64_t first = 0; first < count; first += part) {
    const auto n = std::min(part, count - first);
    parallel_chunks(n, [&](std::int64_t k) {
      auto* out = staged.data() + k * bytes;
      if (const auto* held = dataset.pixels(first + k)) {
        std::memcpy(out, held, static_cast<std::size_t>(bytes));
        return;
      }
      const auto picture = image::to_rgb(dataset.image(first + k), "Loader");
      if (picture.width != width || picture.height != height)
        fail("Loader", "expected pictures of one size, ", width, " x ", height, ", got ", picture.width, " x ", picture.height);
      std::memcpy(out, picture.pixels.data(), static_cast<std::size_t>(bytes));
    });
    kernels::cuda::table().runtime.upload(to + first * bytes, staged.data(), static_cast<std::size_t>(n * bytes));
  }
  return all;
}

/// The views of one batch.
struct GpuViews {
  std::vector<kernels::cuda::ViewProgram> programs;   // (V·N)
  std::vector<std::vector<std::uint8_t>> pictures;    // (N), unless they are on the GPU already
  std::vector<std::uint8_t> package;                  // programs, then pictures: what goes up

  /// Programs and pictures in one piece of memory, so that they go up together; n: pictures in the batch.
  void pack(std::size_t n) {
    const std::size_t program_bytes = programs.size() * sizeof(kernels::cuda::ViewProgram);
    std::size_t bytes = program_bytes;
    for (std::size_t k = 0; k < pictures.size(); ++k) {
      for (std::size_t row = k; row < programs.size(); row += n) programs[row].offset = static_cast<std::int64_t>(bytes);
      bytes += pictures[k].size();
    }
    package.resize(bytes);
    auto* to = package.data();
    if (program_bytes > 0) std::memcpy(to, programs.data(), program_bytes);
    to += program_bytes;
    for (auto& picture : pictures) {
      to = std::copy(picture.begin(), picture.end(), to);
      picture = {};
    }
  }

  /// (V·N,size,size,3) of the wanted type. `resident`: all pictures, or undefined.
  Tensor make(int size, DType type, const Tensor& resident) const {
    const auto& backend = kernels::cuda::table();
    Tensor sent({static_cast<std::int64_t>(package.size())}, DType::uint8, Device::cuda);
    backend.runtime.upload(sent.mutable_address(), package.data(), package.size());
    const auto rows = static_cast<std::int64_t>(programs.size());
    Tensor images({rows, size, size, 3}, type, Device::cuda);
    const auto* bytes = static_cast<const std::uint8_t*>(resident.defined() ? resident.address() : sent.address());
    backend.augment.views(rows, bytes, static_cast<const kernels::cuda::ViewProgram*>(sent.address()), size, type,
                          images.mutable_address());
    return images;
  }
};

}  // namespace sslcake::inline v0::data::detail
