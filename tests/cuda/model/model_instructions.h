// kernels/cuda/instructions.cuh on the CPU: see there for what each does.
#pragma once

#include "cuda_runtime.h"

namespace sslcake::inline v0::kernels::cuda {

inline unsigned char* dynamic_shared() { return cuda_model::dynamic_shared(); }

inline std::uint16_t narrow_bits(float x) {
  const std::uint32_t u = __float_as_uint(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;  // as the hardware
  return static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
inline std::uint32_t pack(float low, float high) {
  return narrow_bits(low) | static_cast<std::uint32_t>(narrow_bits(high)) << 16;
}

namespace model {
struct Fragment {
  float* c;
  const std::uint32_t* a;
  const std::uint32_t* b;
};
inline float half_of(const std::uint32_t* words, int i) {  // the i-th bfloat16
  return __uint_as_float(i % 2 ? words[i / 2] & 0xffff0000u : words[i / 2] << 16);
}
struct Rows {
  std::uint32_t* result;
  const void* row;
};
template <int count, bool transposed>
void load_matrices(void* const* lanes) {
  for (int m = 0; m < count; ++m)
    for (int lane = 0; lane < 32; ++lane) {
      std::uint16_t two[2];
      for (int e = 0; e < 2; ++e) {
        const int r = transposed ? lane % 4 * 2 + e : lane / 4, c = transposed ? lane / 4 : lane % 4 * 2 + e;
        two[e] = static_cast<const std::uint16_t*>(static_cast<Rows*>(lanes[m * 8 + r])->row)[c];
      }
      static_cast<Rows*>(lanes[lane])->result[m] = two[0] | static_cast<std::uint32_t>(two[1]) << 16;
    }
}
}  // namespace model

inline void mma(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  model::Fragment mine{c, a, b};
  cuda_model::warp(
      [](void* const* lanes) {
        float left[16][16], right[16][8];
        for (int lane = 0; lane < 32; ++lane) {
          const auto* f = static_cast<model::Fragment*>(lanes[lane]);
          for (int i = 0; i < 8; ++i)
            left[lane / 4 + (i / 2 % 2) * 8][lane % 4 * 2 + i % 2 + i / 4 * 8] = model::half_of(f->a, i);
          for (int i = 0; i < 4; ++i) right[lane % 4 * 2 + i % 2 + i / 2 * 8][lane / 4] = model::half_of(f->b, i);
        }
        for (int lane = 0; lane < 32; ++lane) {
          auto* f = static_cast<model::Fragment*>(lanes[lane]);
          for (int i = 0; i < 4; ++i) {
            const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
            float sum = f->c[i];
            for (int k = 0; k < 16; ++k) sum += left[row][k] * right[k][column];
            f->c[i] = sum;
          }
        }
      },
      &mine);
}
inline void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
  model::Rows mine{r, row};
  cuda_model::warp(model::load_matrices<4, false>, &mine);
}
inline void ldmatrix_x4_transposed(std::uint32_t (&r)[4], const void* row) {
  model::Rows mine{r, row};
  cuda_model::warp(model::load_matrices<4, true>, &mine);
}
inline void ldmatrix_x2(std::uint32_t (&r)[2], const void* row) {
  model::Rows mine{r, row};
  cuda_model::warp(model::load_matrices<2, false>, &mine);
}
inline void ldmatrix_x2_transposed(std::uint32_t (&r)[2], const void* row) {
  model::Rows mine{r, row};
  cuda_model::warp(model::load_matrices<2, true>, &mine);
}

// Copies wait until they are waited for: a kernel that forgets to reads NaN.
namespace model {
void copy_later(void* to, const void* from, int bytes, int valid);
void commit_copies();
void wait_for_copies(int groups_left);
}  // namespace model
inline void cp_async16(void* shared, const void* global, int valid = 16) { model::copy_later(shared, global, 16, valid); }
inline void cp_async16_cached(void* shared, const void* global, int valid = 16) { model::copy_later(shared, global, 16, valid); }
inline void cp_async8(void* shared, const void* global, int valid = 8) { model::copy_later(shared, global, 8, valid); }
inline void cp_async4(void* shared, const void* global, int valid = 4) { model::copy_later(shared, global, 4, valid); }
inline void cp_async_commit() { model::commit_copies(); }
template <int groups_left>
void cp_async_wait() {
  model::wait_for_copies(groups_left);
}

}  // namespace sslcake::inline v0::kernels::cuda
