// One read of every row of logits: its maximum, the sums that the softmax and the Brier score need, and the tokens that
// are probable enough to need a bin. Built and called by evaluation/kernels/cpu.py.
//
// A row is taken a block at a time, small enough for the first-level cache, against the highest logit so far (the online
// softmax of Milakov and Gimelshein 2018). Exponentials are float32; a block's sums are kept in LANES float32 parts and
// added up in double, which keeps the relative error of a sum near 1e-7 whatever the length of the row.

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int BLOCK = 1024;
constexpr int LANES = 32;
constexpr uint32_t INFINITE = 0x7f800000u;  // bits of infinity; those of a NaN are above

struct BFloat16 {
  uint16_t bits;
};

inline float to_float(float x) { return x; }

inline float to_float(BFloat16 x) {
  const uint32_t bits = uint32_t(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// exp(x) for x <= 0, relative error about 1e-7; below -87 it is exp(-87), about 1e-38. 2^n exp(r) with |r| <= log(2)/2,
// exp(r) by the polynomial of Cephes' expf (Moshier). Written so that the compiler makes vector code of a loop around it.
inline float exp_of_negative(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float n = __builtin_rintf(x * 1.44269504088896341f);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t bits = (int32_t(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

template <class T>
void read_rows(const T* logits, int64_t rows, int64_t vocabulary, int64_t stride, double log_least, int64_t most,
               int threads, double* highest, int64_t* best, double* total, double* squares, int64_t* large, int64_t* found) {
  const int64_t blocks = (vocabulary + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < rows; i++) {
    std::vector<float> peaks(blocks);
    float x[BLOCK];
    const T* row = logits + i * stride;
    float top = -FLT_MAX;
    int64_t top_block = 0;
    double sum = 0, square = 0;
    uint32_t largest_bits = 0;
    for (int64_t b = 0; b < blocks; b++) {
      const int64_t start = b * BLOCK;
      const int size = int(vocabulary - start < BLOCK ? vocabulary - start : BLOCK);
      float peak = -FLT_MAX;
      uint32_t block_bits = 0;
      for (int j = 0; j < size; j++) {
        const float value = to_float(row[start + j]);
        x[j] = value;
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        bits &= 0x7fffffffu;
        block_bits = bits > block_bits ? bits : block_bits;
        peak = value > peak ? value : peak;
      }
      largest_bits = block_bits > largest_bits ? block_bits : largest_bits;
      peaks[b] = peak;
      if (peak > top) {
        const double down = std::exp(double(top) - double(peak));
        sum *= down;
        square *= down * down;
        top = peak;
        top_block = b;
      }
      float sums[LANES] = {0}, squared[LANES] = {0};
      int j = 0;
      for (; j + LANES <= size; j += LANES)
        for (int lane = 0; lane < LANES; lane++) {
          const float e = exp_of_negative(x[j + lane] - top);
          sums[lane] += e;
          squared[lane] += e * e;
        }
      for (; j < size; j++) {
        const float e = exp_of_negative(x[j] - top);
        sums[0] += e;
        squared[0] += e * e;
      }
      for (int lane = 0; lane < LANES; lane++) {
        sum += sums[lane];
        square += squared[lane];
      }
    }
    highest[i] = top;
    total[i] = sum;
    squares[i] = square;
    best[i] = 0;
    found[i] = 0;
    if (largest_bits >= INFINITE) {
      found[i] = -1;  // not finite
      continue;
    }
    int64_t place = top_block * BLOCK;
    while (to_float(row[place]) != top) place++;
    best[i] = place;
    const double least = top + std::log(sum) + log_least;
    for (int64_t b = 0; b < blocks; b++) {
      if (peaks[b] < least) continue;
      const int64_t end = (b + 1) * BLOCK < vocabulary ? (b + 1) * BLOCK : vocabulary;
      for (int64_t j = b * BLOCK; j < end && found[i] < most; j++)
        if (to_float(row[j]) >= least) large[i * most + found[i]++] = j;
    }
  }
}

}  // namespace

extern "C" {

#define ENTRY(NAME, TYPE)                                                                                            \
  void NAME(const void* logits, int64_t rows, int64_t vocabulary, int64_t stride, double log_least, int64_t most,     \
            int threads, double* highest, int64_t* best, double* total, double* squares, int64_t* large,              \
            int64_t* found) {                                                                                         \
    read_rows(static_cast<const TYPE*>(logits), rows, vocabulary, stride, log_least, most, threads, highest, best,    \
              total, squares, large, found);                                                                          \
  }

ENTRY(read_float32, float)
ENTRY(read_bfloat16, BFloat16)
}
