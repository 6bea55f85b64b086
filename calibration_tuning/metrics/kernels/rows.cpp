// One read of every row of logits: its maximum, the sums that the softmax and the Brier score need, and the tokens that
// are probable enough to be looked at one by one; a second read where improbable tokens need cells, too. Built and called
// by evaluation/kernels/cpu.py.
//
// A row is taken a block at a time, small enough for the first-level cache, against the highest logit so far (the online
// softmax of Milakov and Gimelshein 2018). Exponentials are float32; a block's sums are kept in LANES float32 parts and
// added up in double, which keeps the relative error of a sum near 1e-7 whatever the length of the row.

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int BLOCK = 1024;
constexpr int LANES = 32;
constexpr int SIDES = 4;  // sums of a cell, so that additions to one cell need not wait for each other
constexpr int PARTS = 8;  // places of the table between the two edges that are closest
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

// The least float that is no less than `value`: comparing floats with it is comparing them with `value`.
inline float round_up(double value) {
  const float nearest = float(value);
  return double(nearest) < value ? std::nextafterf(nearest, FLT_MAX) : nearest;
}

// The cells of improbable tokens, between ascending edges in log p.
struct Cells {
  const double* edges;
  int count;  // of edges
  float places_per_nat = 0;
  std::vector<int> below;  // for each place, edges that are surely below what falls there

  Cells(const double* log_edges, int64_t number, double log_least) : edges(log_edges), count(int(number)) {
    if (!count) return;
    double gap = log_least - edges[0];
    for (int c = 1; c < count; c++) gap = std::min(gap, edges[c] - edges[c - 1]);
    gap = std::max(gap, 1e-3);
    const int places = int((log_least - edges[0]) / gap * PARTS) + 2;
    places_per_nat = float(PARTS / gap);
    for (int place = 0, c = 0; place < places; place++) {
      while (c < count && edges[c] - edges[0] < (place - 1) * gap / PARTS) c++;
      below.push_back(c);
    }
  }

  // Adds up the probabilities of a row's tokens below `least`, into `into` [count]: cell c is from edge c on.
  template <class T>
  void add_row(const T* row, int64_t vocabulary, const std::vector<float>& peaks, float top, double sum, float least,
               double* into) const {
    std::vector<float> bounds(count + 1, FLT_MAX);
    for (int c = 0; c < count; c++) bounds[c] = round_up(top + std::log(sum) + edges[c]);
    std::vector<double> sums(SIDES * (count + 1));
    const float first = bounds[0], last_place = float(below.size() - 1);
    float x[BLOCK], e[BLOCK];
    int place[BLOCK];
    for (size_t b = 0; b < peaks.size(); b++) {
      if (peaks[b] < first) continue;
      const int64_t start = int64_t(b) * BLOCK;
      const int size = int(std::min<int64_t>(vocabulary - start, BLOCK));
      for (int j = 0; j < size; j++) {
        const float value = to_float(row[start + j]);
        const float probability = exp_of_negative(value - top);
        x[j] = value < least ? value : first;
        e[j] = value < least ? probability : 0.0f;
        const float at = (x[j] - first) * places_per_nat;
        place[j] = int(at < 0.0f ? 0.0f : at > last_place ? last_place : at);
      }
      for (int j = 0; j < size; j++) {
        int c = below[place[j]];
        c += (c < count) & (x[j] >= bounds[c]);  // nearly always enough, and without a branch
        while (c < count && x[j] >= bounds[c]) c++;
        while (c > 0 && x[j] < bounds[c - 1]) c--;
        sums[(j % SIDES) * (count + 1) + c] += e[j];
      }
    }
    for (int c = 0; c < count; c++) {
      into[c] = 0;
      for (int side = 0; side < SIDES; side++) into[c] += sums[side * (count + 1) + c + 1] / sum;
    }
  }
};

template <class T>
void read_rows(const T* logits, int64_t rows, int64_t vocabulary, int64_t stride, double log_least, int64_t most,
               const double* log_edges, int64_t edges, int threads, double* highest, int64_t* best, double* total,
               double* squares, int64_t* large, int64_t* found, double* small) {
  const int64_t blocks = (vocabulary + BLOCK - 1) / BLOCK;
  const Cells cells(log_edges, edges, log_least);
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
    const float least = round_up(top + std::log(sum) + log_least);
    for (int64_t b = 0; b < blocks; b++) {
      if (peaks[b] < least) continue;
      const int64_t end = (b + 1) * BLOCK < vocabulary ? (b + 1) * BLOCK : vocabulary;
      for (int64_t j = b * BLOCK; j < end && found[i] < most; j++)
        if (to_float(row[j]) >= least) large[i * most + found[i]++] = j;
    }
    if (edges) cells.add_row(row, vocabulary, peaks, top, sum, least, small + i * edges);
  }
}

}  // namespace

extern "C" {

#define ENTRY(NAME, TYPE)                                                                                            \
  void NAME(const void* logits, int64_t rows, int64_t vocabulary, int64_t stride, double log_least, int64_t most,     \
            const double* log_edges, int64_t edges, int threads, double* highest, int64_t* best, double* total,       \
            double* squares, int64_t* large, int64_t* found, double* small) {                                         \
    read_rows(static_cast<const TYPE*>(logits), rows, vocabulary, stride, log_least, most, log_edges, edges, threads, \
              highest, best, total, squares, large, found, small);                                                    \
  }

ENTRY(read_float32, float)
ENTRY(read_bfloat16, BFloat16)
}
