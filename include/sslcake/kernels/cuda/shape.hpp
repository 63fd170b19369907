// The kernels that move numbers: copies of parts, permuting, picking by index, resizing; and dropout. "Words" are elements of
// 1, 2, 4 or 8 bytes whatever they mean. Types are float32 or bfloat16 (computed in float32) where nothing else is said.
// Results are overwritten and must not overlap the operands. Indices out of range are safe: what they would pick becomes
// bytes of 0xff (NaN, -1, 255), and gradients leave them out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../../core/dtype.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// The extents of the result, and the step of each in the source, in words.
struct PermutePlan {
  int rank = 0;
  std::int64_t extent[8] = {}, step[8] = {};
};

/// x (n,h,w,c) resized to (n,oh,ow,c).
struct ResizeShape {
  std::int64_t n = 0, h = 0, w = 0, c = 0, oh = 0, ow = 0;
};

struct ShapeOps {
  /// `rows` pieces of `bytes` bytes, with these distances in bytes between the pieces.
  void (*copy_rows)(const void* from, std::size_t from_step, void* to, std::size_t to_step, std::size_t bytes,
                    std::int64_t rows) = nullptr;
  void (*permute)(std::size_t word_bytes, const PermutePlan& plan, const void* from, void* to) = nullptr;
  /// to[o,k] = from[o,index[k]]: from (outer,extent) and to (outer,count), of entries of so many bytes.
  void (*index_select)(const void* from, const std::int64_t* index, void* to, std::int64_t outer, std::int64_t count,
                       std::int64_t extent, std::size_t entry_bytes) = nullptr;
  /// dx[o,r,i] = Σ dy[o,k,i] over the k with index[k] = r, in order: dx (outer,extent,inner), dy (outer,count,inner). Every row
  /// of dx looks through the whole index: outer·extent·count/32 steps for each 128 of inner.
  void (*index_select_gradient)(DType type, const void* dy, const std::int64_t* index, void* dx, std::int64_t outer,
                                std::int64_t count, std::int64_t extent, std::int64_t inner) = nullptr;
  /// to[o,k,i] = from[o,index[o,k,i],i]: from (outer,extent,inner), index and to (outer,count,inner).
  void (*gather)(std::size_t word_bytes, const void* from, const std::int64_t* index, void* to, std::int64_t outer,
                 std::int64_t count, std::int64_t extent, std::int64_t inner) = nullptr;
  /// dx[o,index[o,k,i],i] += dy[o,k,i] on zeros, in the order of k: one thread for each (o,i).
  void (*gather_gradient)(DType type, const void* dy, const std::int64_t* index, void* dx, std::int64_t outer, std::int64_t count,
                          std::int64_t extent, std::int64_t inner) = nullptr;
  /// y = x resized, and dx from dy: each pixel of dx sums the pixels of dy that were made from it, row by row.
  void (*resize_nearest)(DType type, const ResizeShape& shape, const void* x, void* y) = nullptr;
  void (*resize_nearest_gradient)(DType type, const ResizeShape& shape, const void* dy, void* dx) = nullptr;
  void (*resize_bilinear)(DType type, const ResizeShape& shape, const void* x, void* y) = nullptr;
  void (*resize_bilinear_gradient)(DType type, const ResizeShape& shape, const void* dy, void* dx) = nullptr;
  /// y[i] = x[i]·scale where word i % 4 of Philox block i / 4 (core/random.hpp; counter: block, call) is at least `limit`, else
  /// 0.
  void (*dropout)(DType type, std::int64_t n, const void* x, void* y, std::uint32_t key0, std::uint32_t key1, std::uint64_t call,
                  std::uint64_t limit, float scale) = nullptr;
};
void install(ShapeOps& table);  // shape.cu

}  // namespace sslcake::inline v0::kernels::cuda
