// A matrix product in eight steps, from the textbook's three loops to the library's kernel: each is checked against
// float64, timed, and says why it is faster than the one before. To be read from top to bottom; include/sslcake/kernels/
// has the last steps in full.
//
//   C (n,n) = A (n,n) · B (n,n), row-major float32, one thread until the last step
//
// usage: ladder [N]      (768; a multiple of 64)
#include <sslcake/core/random.hpp>
#include <sslcake/core/tensor.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/kernels/cpu/bfloat_vectors.hpp>
#include <sslcake/kernels/cpu/isa.hpp>
#include <sslcake/kernels/cpu/simd/common.hpp>
#include <sslcake/kernels/gemm.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace ssl = sslcake;
namespace kernels = ssl::kernels;

using Product = void (*)(int n, const float* a, const float* b, float* c);

// 1. The definition. The inner loop walks down a column of B: every number that it reads lies in another cache line, of
// which the other fifteen numbers are thrown away again.
void definition(int n, const float* a, const float* b, float* c) {
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      float sum = 0;
      for (int k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
      c[i * n + j] = sum;
    }
}

// 2. The two inner loops change places. Now all three matrices are read along their rows, every line of the cache is used
// whole, and the compiler turns the inner loop into vector code: no sum has to be taken across a vector.
void rows_first(int n, const float* a, const float* b, float* c) {
  std::fill_n(c, n * n, 0.0f);
  for (int i = 0; i < n; ++i)
    for (int k = 0; k < n; ++k)
      for (int j = 0; j < n; ++j) c[i * n + j] += a[i * n + k] * b[k * n + j];
}

// 3. Step 2 reads all of B for each row of A. A block of B that fits into the second cache is used for all rows instead.
void blocked(int n, const float* a, const float* b, float* c) {
  constexpr int depth = 128, width = 256;  // 128 KB of B
  std::fill_n(c, n * n, 0.0f);
  for (int j0 = 0; j0 < n; j0 += width)
    for (int k0 = 0; k0 < n; k0 += depth)
      for (int i = 0; i < n; ++i)
        for (int k = k0; k < std::min(n, k0 + depth); ++k)
          for (int j = j0; j < std::min(n, j0 + width); ++j) c[i * n + j] += a[i * n + k] * b[k * n + j];
}

// The next steps are written once for vectors of any length, and compiled for each instruction set at the end.
template <int lanes>
using Vector = typename kernels::VectorOf<float, 4 * lanes>::type;

// 4. The same loops on the widest vectors of this CPU, with the multiply-add as one instruction. They ask for two loads
// and a store of C for each multiply-add: the caches, not the arithmetic, set the pace.
template <int lanes>
SSLCAKE_ALWAYS_INLINE void wide(int n, const float* a, const float* b, float* c) {
  constexpr int depth = 128, width = 256;
  std::fill_n(c, n * n, 0.0f);
  Vector<lanes> sum, right;
  for (int j0 = 0; j0 < n; j0 += width)
    for (int k0 = 0; k0 < n; k0 += depth)
      for (int i = 0; i < n; ++i)
        for (int k = k0; k < std::min(n, k0 + depth); ++k)
          for (int j = j0; j < std::min(n, j0 + width); j += lanes) {
            kernels::load(sum, c + i * n + j);
            kernels::load(right, b + k * n + j);
            sum += a[i * n + k] * right;
            kernels::store(sum, c + i * n + j);
          }
}

/// rows x 2 vectors of C stay in registers while k runs; `step` numbers lie between two rows of b.
template <int lanes, int rows>
SSLCAKE_ALWAYS_INLINE void tile(int n, int depth, const float* a, const float* b, int step, float* c, bool add) {
  Vector<lanes> sum[rows][2], right[2], before;
  SSLCAKE_UNROLL
  for (int r = 0; r < rows; ++r) sum[r][0] = sum[r][1] = Vector<lanes>{};
  for (int k = 0; k < depth; ++k) {
    kernels::load(right[0], b + k * step);
    kernels::load(right[1], b + k * step + lanes);
    SSLCAKE_UNROLL
    for (int r = 0; r < rows; ++r) {
      sum[r][0] += a[r * n + k] * right[0];
      sum[r][1] += a[r * n + k] * right[1];
    }
  }
  SSLCAKE_UNROLL
  for (int r = 0; r < rows; ++r) {
    SSLCAKE_UNROLL
    for (int v = 0; v < 2; ++v) {
      if (add) {
        kernels::load(before, c + r * n + v * lanes);
        sum[r][v] += before;
      }
      kernels::store(sum[r][v], c + r * n + v * lanes);
    }
  }
}

// 5. A tile of C is held in registers until its sums are complete. Each vector of B that is loaded serves eight (or four)
// rows, each number of A two vectors: ten loads for sixteen multiply-adds, and their sums do not wait for each other.
template <int lanes>
SSLCAKE_ALWAYS_INLINE void in_registers(int n, const float* a, const float* b, float* c) {
  constexpr int rows = lanes == 16 ? 8 : 4;
  for (int j = 0; j < n; j += 2 * lanes)
    for (int i = 0; i < n; i += rows) tile<lanes, rows>(n, n, a + i * n, b + j, n, c + i * n + j, false);
}

// 6. The columns of B that a tile reads lie n numbers apart, on as many pages. Copied once into a panel, of which a block
// of 128 (or more) steps fits into the first cache, they are read in one line by all tiles below each other.
template <int lanes>
SSLCAKE_ALWAYS_INLINE void packed(int n, const float* a, const float* b, float* c) {
  constexpr int rows = lanes == 16 ? 8 : 4, depth = 4096 / (2 * lanes);  // 16 KB
  const ssl::Workspace<float> panel(depth * 2 * lanes);
  for (int j = 0; j < n; j += 2 * lanes)
    for (int k0 = 0; k0 < n; k0 += depth) {
      const int steps = std::min(depth, n - k0);
      for (int k = 0; k < steps; ++k) std::copy_n(b + (k0 + k) * n + j, 2 * lanes, panel.data() + k * 2 * lanes);
      for (int i = 0; i < n; i += rows)
        tile<lanes, rows>(n, steps, a + i * n + k0, panel.data(), 2 * lanes, c + i * n + j, k0 > 0);
    }
}

#define LADDER_STEPS(name, target, lanes)                                                                       \
  struct name {                                                                                                 \
    target static void step4(int n, const float* a, const float* b, float* c) { wide<lanes>(n, a, b, c); }       \
    target static void step5(int n, const float* a, const float* b, float* c) { in_registers<lanes>(n, a, b, c); } \
    target static void step6(int n, const float* a, const float* b, float* c) { packed<lanes>(n, a, b, c); }     \
  };
LADDER_STEPS(Portable, , 4)
#if SSLCAKE_X86
LADDER_STEPS(Avx2, __attribute__((target("avx2,fma"))), 8)
LADDER_STEPS(Avx512, __attribute__((target("avx512f,avx2,fma"))), 16)
#endif

// 7. and 8. The library's kernel: what step 6 does, and blocks of A that stay in the second cache while the panels pass,
// edges of any size, transposed operands, parts for threads.
void library(int n, const float* a, const float* b, float* c) { kernels::gemm(false, false, n, n, n, a, n, b, n, c, n); }

struct Steps {
  const char* vectors;
  Product step4, step5, step6;
};
Steps widest() {
#if SSLCAKE_X86
  if (kernels::supports(kernels::Isa::avx512)) return {"16 numbers wide (AVX-512)", Avx512::step4, Avx512::step5, Avx512::step6};
  if (kernels::supports(kernels::Isa::avx2)) return {"8 numbers wide (AVX2)", Avx2::step4, Avx2::step5, Avx2::step6};
#endif
  return {"4 numbers wide", Portable::step4, Portable::step5, Portable::step6};
}

int main(int count, char** arguments) try {
  const int n = count > 1 ? std::atoi(arguments[1]) : 768;
  if (n < 64 || n % 64 != 0 || n > 8192) {
    std::fprintf(stderr, "expected a size from 64 to 8192 that is a multiple of 64, got %s\n", arguments[1]);
    return 2;
  }
  ssl::Random random(1, ssl::Purpose::test);
  const ssl::Tensor a = ssl::random_normal({n, n}, random), b = ssl::random_normal({n, n}, random);
  ssl::Tensor c({n, n}, ssl::DType::float32), exact({n, n}, ssl::DType::float64);
  kernels::gemm(false, false, n, n, n, a.to(ssl::DType::float64).data<double>(), n, b.to(ssl::DType::float64).data<double>(), n,
                exact.mutable_data<double>(), n);

  const Steps steps = widest();
  const struct {
    const char* what;
    Product run;
    int threads;
  } ladder[] = {{"1 the definition", definition, 1},       {"2 along the rows", rows_first, 1},
                {"3 blocks for the cache", blocked, 1},     {"4 wide vectors", steps.step4, 1},
                {"5 tiles in registers", steps.step5, 1},   {"6 packed panels", steps.step6, 1},
                {"7 the library", library, 1},              {"8 the library, all threads", library, ssl::threads()}};
  std::printf("%d x %d, vectors %s\n%-30s%12s%12s%12s%12s\n", n, n, steps.vectors, "", "ms", "GFLOP/s", "gain", "error");
  double before = 0;
  bool right = true;
  for (const auto& step : ladder) {
    ssl::set_threads(step.threads);
    std::vector<double> times;
    for (double all = 0; times.size() < 3 || (all < 0.3 && times.size() < 50); all += times.back()) {
      const auto start = std::chrono::steady_clock::now();
      step.run(n, a.data<float>(), b.data<float>(), c.mutable_data<float>());
      times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::sort(times.begin(), times.end());
    const double median = times[times.size() / 2];
    // Sums of n products of normal numbers are about √n; float32 rounds each of them.
    double error = 0;
    for (std::int64_t i = 0; i < c.numel(); ++i) {
      const double apart = std::abs(static_cast<double>(c.data<float>()[i]) - exact.data<double>()[i]) / std::sqrt(n);
      if (!(apart <= error)) error = apart;
    }
    const bool close = error < 2e-8 * n;
    right = right && close;
    std::printf("%-30s%12.2f%12.1f%11.1fx%12.1e%s\n", step.what, 1000 * median, 2e-9 * n * n * static_cast<double>(n) / median,
                before > 0 ? before / median : 1.0, error, close ? "" : "  WRONG");
    before = median;
  }
  return right ? 0 : 1;
} catch (const ssl::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
