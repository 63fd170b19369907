// The best k of each row of a matrix of similarities that is made piece by piece: nearest neighbours (eval/knn.hpp) on the GPU.
#pragma once

#include <cstdint>

namespace sslcake::inline v0::kernels::cuda {

struct Neighbours {
  /// The largest k that there is shared memory for on every GPU.
  static constexpr std::int64_t most_k = 7168;

  /// Offers similarities (rows, columns) float32, rows `pitch` apart, of queries first_query, ... and the base's rows first_base,
  /// ... to `best` (rows,k), which holds the best so far, or nothing yet where `fresh`. With skip_same_index, query i does not
  /// find row i. What `best` holds is a similarity and an index in one number; indices < 2^32.
  void (*offer)(std::int64_t rows, std::int64_t columns, std::int64_t pitch, const float* similarities, std::int64_t first_query,
                std::int64_t first_base, bool skip_same_index, std::int64_t k, bool fresh, std::int64_t* best) = nullptr;

  /// In place, `best` (count) becomes indices; similarities (count) float32. Most similar first, equal ones in order of the
  /// index.
  void (*unpack)(std::int64_t count, std::int64_t* best, float* similarities) = nullptr;
};
void install(Neighbours& table);  // neighbours.cu

}  // namespace sslcake::inline v0::kernels::cuda
