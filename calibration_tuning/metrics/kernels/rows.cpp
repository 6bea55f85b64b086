// One read of every row of logits: its maximum, the sums that the softmax and the Brier score need, and the tokens that
// are probable enough to be looked at one by one; a second read where improbable tokens need cells, too. Built and called
// by cpu.py beside this file.
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
constexpr int GROUP = 64;   // tokens whose cells are computed together
constexpr int SIDES = 8;    // sums of a cell, so that additions to one cell need not wait for each other
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

// The cells of improbable tokens, between ascending edges in log p. Where the edges are evenly spaced in log p or in
// log-odds, a token's cell is computed, and compared with the edges only if it is close to one. Other edges are compared
// with every token.
struct Cells {
  const double* edges;
  int count;  // of edges
  float in_odds = 0;  // 1 where edges are evenly spaced in log-odds
  bool even = false;
  double start = 0, step = 1;

  Cells(const double* log_edges, int64_t number) : edges(log_edges), count(int(number)) {
    if (!count) return;
    even = evenly_spaced(false);
    if (!even && evenly_spaced(true)) {
      even = true;
      in_odds = 1;
    }
    start = place(edges[0], in_odds);
    step = count > 1 ? (place(edges[count - 1], in_odds) - start) / (count - 1) : 1;
  }

  static double place(double log_p, bool odds) { return odds ? log_p - std::log1p(-std::exp(log_p)) : log_p; }

  bool evenly_spaced(bool odds) const {
    const double least = place(edges[0], odds), gap = (place(edges[count - 1], odds) - least) / std::max(count - 1, 1);
    for (int c = 1; c < count; c++)
      if (std::fabs(place(edges[c], odds) - least - c * gap) > 1e-6 * gap) return false;
    return true;
  }

  // Adds up the probabilities of a row's tokens below `least`, into `into` [count]: cell c is from edge c on.
  template <class T>
  void add_row(const T* row, int64_t vocabulary, const std::vector<float>& peaks, float top, double sum, float least,
               double* into) const {
    const double log_sum = std::log(sum);
    std::vector<float> bounds(count);
    for (int c = 0; c < count; c++) bounds[c] = round_up(top + log_sum + edges[c]);
    std::vector<double> sums(SIDES * (count + 1));
    const float part = float(1 / sum), per_step = float(1 / step), last = float(count) + 0.5f;
    const float before = float((log_sum + start) / step) - 1.0f;  // cell 0 is below the first edge
    // Steps by which a computed place can be off: float32 rounds the logits, the bounds and what is computed of them.
    const float close = 1e-5f + float(8 * FLT_EPSILON * (std::fabs(top) + 64) / step);
    float x[GROUP], e[GROUP];
    int cell[GROUP];
    for (size_t b = 0; b < peaks.size(); b++) {
      if (peaks[b] < bounds[0]) continue;
      const int64_t end = std::min<int64_t>(vocabulary, int64_t(b + 1) * BLOCK);
      for (int64_t at = int64_t(b) * BLOCK; at < end; at += GROUP) {
        const int size = int(std::min<int64_t>(end - at, GROUP));
        int doubtful = even ? 0 : 1;
        for (int j = 0; j < size; j++) {
          x[j] = to_float(row[at + j]);
          const float exponential = exp_of_negative(x[j] - top), p = exponential * part;
          // log-odds are log p - log(1 - p); p is below 1/64.
          const float odds = in_odds * p * (1 + p * (0.5f + p * (0.33333333f + p * 0.25f)));
          const float exact = (x[j] - top + odds) * per_step - before;
          const float placed = exact < 0.5f ? 0.5f : exact > last ? last : exact;
          cell[j] = int(placed);
          const float beyond = placed - float(cell[j]);
          doubtful += (beyond < close) | (beyond > 1 - close);
          e[j] = x[j] < least ? exponential : 0.0f;
        }
        if (doubtful)
          for (int j = 0; j < size; j++) {
            while (cell[j] < count && x[j] >= bounds[cell[j]]) cell[j]++;
            while (cell[j] > 0 && x[j] < bounds[cell[j] - 1]) cell[j]--;
          }
        int j = 0;
        for (; j + SIDES <= size; j += SIDES)
          for (int side = 0; side < SIDES; side++) sums[cell[j + side] * SIDES + side] += e[j + side];
        for (; j < size; j++) sums[cell[j] * SIDES] += e[j];
      }
    }
    for (int c = 0; c < count; c++) {
      into[c] = 0;
      for (int side = 0; side < SIDES; side++) into[c] += sums[(c + 1) * SIDES + side] / sum;
    }
  }
};

template <class T>
void read_rows(const T* logits, int64_t rows, int64_t vocabulary, int64_t stride, double log_least, int64_t most,
               const double* log_edges, int64_t edges, int threads, double* highest, int64_t* best, double* total,
               double* squares, int64_t* large, int64_t* found, double* small) {
  const int64_t blocks = (vocabulary + BLOCK - 1) / BLOCK;
  const Cells cells(log_edges, edges);
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
