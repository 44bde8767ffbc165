// The classifier of Table 2, trained: what the paper's page runs, compiled to WebAssembly by `make kernel`.
//
// A batch lies in memory as [map][place of 6 x 6][image]. Four images are one vector (f4), and all sizes of batches are
// counted in vectors: v, a multiple of 5, at most MOST / 4. A 3x3 convolution goes by minimal filtering, F(3x3, 3x3) of
// Lavin and Gray (CVPR 2016): a map becomes four tiles of 5x5, these are multiplied by 5x5 kernels place by place, and
// the products become a map. Only operations that IEEE 754 rounds exactly are used, in a fixed order, so that every
// machine computes the same bits.

typedef float f4 __attribute__((vector_size(16)));
typedef int i4 __attribute__((vector_size(16)));
#define EXPORT(name) __attribute__((export_name(#name)))
#define INLINE static inline __attribute__((always_inline))
#define APART static __attribute__((noinline)) // called from several places: one copy keeps the binary small
#define EACH(i, count) _Pragma("clang loop unroll(full)") for (int i = 0; i < count; i++)

enum { LAYERS = 6, MAPS = 50, MAP = 36, TILE = 25, HIDDEN = 16, CLASSES = 10, MOST = 200, ROWS = 6000 };
enum { FIRST = 9 * MAPS + 5 * MAPS, NEXT = 9 * MAPS * MAPS + 5 * MAPS }; // weights, bias and BatchNorm of a layer
enum { DENSE = FIRST + (LAYERS - 1) * NEXT, OUTPUT = DENSE + HIDDEN * (MAPS * MAP + 5) };
enum { STATE = OUTPUT + CLASSES * (HIDDEN + 1) };

// As PyTorch's state_dict: of each layer weight and bias, of its BatchNorm weight, bias, running mean and variance.
static f4 state_[STATE / 4], gradient_[STATE / 4], velocity_[STATE / 4];
static float *const state = (float *)state_, *const gradient = (float *)gradient_;
static f4 tiles[LAYERS][TILE * MAPS * MOST], products[TILE * MAPS * MOST];         // [place of 5 x 5][map][tile][image]
static f4 kernels[LAYERS][TILE * MAPS * MAPS / 4], turned[TILE * MAPS * MAPS / 4]; // [place of 5 x 5][to][from]
static f4 spread[9 * (MAPS * MAPS / 4 + 1)];          // weights as [place of 3 x 3][to][from]
static f4 raw[LAYERS + 1][MAPS * MAP * MOST / 4];     // of each layer before its BatchNorm; the last is dense
static f4 active[LAYERS + 2][MAPS * MAP * MOST / 4];  // after BatchNorm and ELU; the first is the batch itself
static f4 flow[MAPS * MAP * MOST / 4];                // gradient of the loss by `raw` or `active` of the layer at hand
static f4 scores[CLASSES * MOST / 4];                 // log-probabilities
static float moments[LAYERS + 1][2 * MAPS];           // mean and 1 / standard deviation of each map

// Latents of all images and their classes; `chosen` are the rows of the batch at hand.
static float rows[ROWS][MAP], image[28 * 28], compressor[555];
static unsigned char label[ROWS], guess[ROWS], target[MOST], predicted[MOST];
static short chosen[MOST], order[ROWS], kept[ROWS];
static int place;
static unsigned random;

EXPORT(memory_of) void *memory_of(int what) {
  void *const all[] = {state_, gradient_, rows, label, image, compressor, chosen, scores, guess};
  return all[what];
}

// -- functions --------------------------------------------------------------------------------------------------------

INLINE f4 all(float x) { return (f4){x, x, x, x}; }
INLINE float sum(f4 x) { return (x[0] + x[1]) + (x[2] + x[3]); }
INLINE f4 choose(i4 which, f4 yes, f4 no) { return (f4)((which & (i4)yes) | (~which & (i4)no)); }

static const float INVERSE[] = {1 / 720.f, 1 / 120.f, 1 / 24.f, 1 / 6.f, 1 / 2.f, 1, 1}; // of factorials

// 2^k e^r with |r| <= ln 2 / 2, and e^r by its series; below -87 as at -87.
APART f4 exponential(f4 x) {
  x = choose(x < all(-87), all(-87), x);
  f4 k = (x * all(1.44269504f) + all(12582912)) - all(12582912); // rounded
  f4 r = x - k * all(0.693359375f) + k * all(2.12194440e-4f);
  f4 series = all(1.0f / 5040);
  for (int n = 0; n < 7; n++) series = series * r + all(INVERSE[n]);
  return series * (f4)((__builtin_convertvector(k, i4) + 127) << 23);
}

// By Halley's method from the exponent, so that it fits `exponential`.
APART f4 logarithm(f4 x) {
  f4 y = (__builtin_convertvector((i4)x, f4) * all(1.0f / 8388608) - all(127)) * all(0.693147181f);
  for (int n = 0; n < 3; n++) {
    f4 e = exponential(y);
    y += all(2) * (x - e) / (x + e);
  }
  return y;
}

// -- products of matrices ---------------------------------------------------------------------------------------------

// c[to][v] = a[to][from] b[from][v]
APART void multiply(int to, int from, int v, const float *a, const f4 *b, f4 *c) {
  for (int i = 0; i < v; i += 5)
    for (int row = 0; row < to; row += 2) {
      f4 first[5] = {}, second[5] = {};
      for (int k = 0; k < from; k++) {
        f4 x = all(a[row * from + k]), y = all(a[(row + 1) * from + k]);
        EACH(j, 5) {
          first[j] += x * b[k * v + i + j];
          second[j] += y * b[k * v + i + j];
        }
      }
      EACH(j, 5) c[row * v + i + j] = first[j], c[(row + 1) * v + i + j] = second[j];
    }
}

// c[to][from] = sum over images of a[to][v] b[from][v]
APART void correlate(int to, int from, int v, const f4 *a, const f4 *b, float *c) {
  for (int row = 0; row < to; row += 2)
    for (int column = 0; column < from; column += 5) {
      int wide = from - column < 5 ? from - column : 5;
      const f4 *x = a + row * v, *y = x + v, *z = b + column * v;
      f4 first[5] = {}, second[5] = {};
      for (int i = 0; i < v; i++)
        EACH(j, 5) first[j] += x[i] * z[j * v + i], second[j] += y[i] * z[j * v + i]; // beyond `wide` unused
      EACH(j, 5)
        if (j < wide) c[row * from + column + j] = sum(first[j]), c[(row + 1) * from + column + j] = sum(second[j]);
    }
}

APART void transpose(int to, int from, const float *a, float *b) {
  for (int row = 0; row < to; row++)
    for (int column = 0; column < from; column++) b[column * to + row] = a[row * from + column];
}

// -- minimal filtering ------------------------------------------------------------------------------------------------

// At the points 0, 1, -1, 1/2 and infinity. Both tiles of a map on one axis; what meets the padding is left out.
static const float TO_TILES[10][6] = {
    {-1, -.5f, 1, 0, 0, 0}, {-.5f, .5f, 1, 0, 0, 0}, {.5f, -1.5f, 1, 0, 0, 0}, {-1, 0, 1, 0, 0, 0},
    {.5f, -1, -.5f, 1, 0, 0}, {0, 0, .5f, -1, -.5f, 1}, {0, 0, 0, -.5f, .5f, 1}, {0, 0, 0, .5f, -1.5f, 1},
    {0, 0, 0, -1, 0, 1}, {0, 0, 0, .5f, -1, -.5f}};
static const float OF_KERNEL[5][3] = {
    {2, 0, 0}, {1, 1, 1}, {-1 / 3.f, 1 / 3.f, -1 / 3.f}, {-8 / 3.f, -4 / 3.f, -2 / 3.f}, {0, 0, 1}};
static const float OF_TILE[3][5] = {{1, 1, 1, 1, 0}, {0, 1, -1, .5f, 0}, {0, 1, 1, .25f, 1}};
#define TO_MAP(j, k) (j / 3 == k / 5 ? OF_TILE[j % 3][k % 5] : 0)

// How far apart neighbours on an axis lie, in vectors, and the sixth from the first.
typedef struct { int step, jump; } Axis;

// A matrix on one axis: y[j] = sum over k of M(j, k) x[k]. Zeros cost nothing.
#define ON_AXIS(name, P, Q, M)                                             \
  APART void name(const f4 *x, Axis from, f4 *y, Axis to) {                \
    f4 sums[P] = {};                                                       \
    EACH(k, Q) {                                                           \
      f4 v = x[k % 5 * from.step + k / 5 * from.jump];                     \
      EACH(j, P) {                                                         \
        if (M == 1) sums[j] += v;                                          \
        else if (M != 0) sums[j] += all(M) * v;                            \
      }                                                                    \
    }                                                                      \
    EACH(j, P) y[j % 5 * to.step + j / 5 * to.jump] = sums[j];             \
  }
ON_AXIS(to_tiles, 10, 6, TO_TILES[j][k])
ON_AXIS(back_to_map, 6, 10, TO_TILES[k][j])
ON_AXIS(to_map, 6, 10, TO_MAP(j, k))
ON_AXIS(back_to_tiles, 10, 6, TO_MAP(k, j))
ON_AXIS(of_kernel, 5, 3, OF_KERNEL[j][k])
ON_AXIS(back_to_kernel, 3, 5, OF_KERNEL[k][j])

// Maps, tiles of `maps` maps, or kernels of `side` x `side` places.
typedef struct { Axis row, column; } Layout;
INLINE Layout in_maps(int v) { return (Layout){{6 * v, 30 * v}, {v, 5 * v}}; }
INLINE Layout in_tiles(int maps, int v) { return (Layout){{20 * maps * v, 2 * v}, {4 * maps * v, v}}; }
INLINE Layout in_kernels(int side, int v) { return (Layout){{side * v, 0}, {v, 0}}; }

// A matrix on both axes: q x q values of v vectors each -> p x p.
typedef void OnAxis(const f4 *x, Axis from, f4 *y, Axis to);
APART void on_both(OnAxis *on_axis, int p, int q, const f4 *x, Layout from, f4 *y, Layout to, int v) {
  f4 half[60];
  for (int i = 0; i < v; i++) {
    for (int k = 0; k < q; k++)
      on_axis(x + i + k % 5 * from.column.step + k / 5 * from.column.jump, from.row, half + k, (Axis){q, 5 * q});
    for (int j = 0; j < p; j++)
      on_axis(half + j * q, (Axis){1, 5}, y + i + j % 5 * to.row.step + j / 5 * to.row.jump, to.column);
  }
}

// -- layers -----------------------------------------------------------------------------------------------------------

enum { RUNNING, BATCH, TRAINING }; // statistics: BatchNorm's averages, the batch's, the batch's and into the averages

INLINE int weights_of(int layer) { return layer ? FIRST + (layer - 1) * NEXT : 0; }
INLINE int maps_of(int layer) { return layer ? MAPS : 1; }

APART void add_bias(f4 *z, const float *bias, int channels, int count) {
  for (int c = 0; c < channels; c++)
    for (int i = 0; i < count; i++) z[c * count + i] += all(bias[c]);
}

// BatchNorm and ELU: raw[layer] -> active[layer + 1], where a channel has `places` x v vectors.
APART void activate(int layer, float *norm, int channels, int places, int v, int statistics) {
  for (int c = 0; c < channels; c++) {
    f4 *z = raw[layer] + c * places * v, *a = active[layer + 1] + c * places * v;
    float *running = norm + 2 * channels + c, count = 4 * places * v, mean = running[0], variance = running[channels];
    if (statistics) {
      double total = 0, squares = 0; // of sums over a place's images, so that rounding errors stay small
      for (int p = 0; p < places; p++) {
        f4 part = {};
        for (int i = 0; i < v; i++) part += z[p * v + i];
        total += sum(part);
      }
      mean = total / count;
      for (int p = 0; p < places; p++) {
        f4 part = {};
        for (int i = 0; i < v; i++) part += (z[p * v + i] - all(mean)) * (z[p * v + i] - all(mean));
        squares += sum(part);
      }
      variance = squares / count;
      if (statistics == TRAINING) {
        running[0] = 0.9f * running[0] + 0.1f * mean;
        running[channels] = 0.9f * running[channels] + 0.1f * (float)(squares / (count - 1));
      }
    }
    float scale = 1 / __builtin_sqrtf(variance + 1e-5f);
    moments[layer][c] = mean, moments[layer][channels + c] = scale;
    for (int i = 0; i < places * v; i++) {
      f4 y = (z[i] - all(mean)) * all(scale * norm[c]) + all(norm[channels + c]);
      i4 negative = y < all(0);
      a[i] = choose(negative, exponential(choose(negative, y, all(0))) - all(1), y);
    }
  }
}

// `flow` by active[layer + 1] becomes `flow` by raw[layer]. A bias before BatchNorm has no gradient: it cancels.
APART void back_through_activation(int layer, float *norm, int channels, int places, int v) {
  float *of_norm = gradient + (norm - state), count = 4 * places * v;
  for (int c = 0; c < channels; c++) {
    f4 *z = raw[layer] + c * places * v, *a = active[layer + 1] + c * places * v, *g = flow + c * places * v;
    f4 mean = all(moments[layer][c]), scale = all(moments[layer][channels + c]);
    double total = 0, product = 0;
    for (int p = 0; p < places; p++) {
      f4 part = {}, other = {};
      for (int i = p * v; i < (p + 1) * v; i++) {
        g[i] *= choose(a[i] < all(0), a[i] + all(1), all(1));
        part += g[i], other += g[i] * ((z[i] - mean) * scale);
      }
      total += sum(part), product += sum(other);
    }
    of_norm[c] = product, of_norm[channels + c] = total;
    f4 shift = all(total / count), slope = all(product / count), factor = scale * all(norm[c]);
    for (int i = 0; i < places * v; i++) g[i] = factor * (g[i] - shift - (z[i] - mean) * scale * slope);
  }
}

APART void convolve(int layer, int v) {
  int from = maps_of(layer), size = (MAPS * from + 3) / 4; // each place's weights fill whole vectors
  float *weight = state + weights_of(layer), *wide = (float *)spread;
  for (int i = 0; i < MAPS * from; i++)
    for (int k = 0; k < 9; k++) wide[k * 4 * size + i] = weight[9 * i + k];
  on_both(of_kernel, 5, 3, spread, in_kernels(3, size), kernels[layer], in_kernels(5, size), size);
  f4 *tile = tiles[layer], *maps = active[layer], *result = raw[layer];
  for (int c = 0; c < from; c++)
    on_both(to_tiles, 10, 6, maps + c * MAP * v, in_maps(v), tile + c * 4 * v, in_tiles(from, v), v);
  for (int k = 0; k < TILE; k++)
    multiply(MAPS, from, 4 * v, (float *)(kernels[layer] + k * size), tile + k * from * 4 * v,
             products + k * MAPS * 4 * v);
  for (int c = 0; c < MAPS; c++)
    on_both(to_map, 6, 10, products + c * 4 * v, in_tiles(MAPS, v), result + c * MAP * v, in_maps(v), v);
  add_bias(result, weight + 9 * MAPS * from, MAPS, MAP * v);
}

APART void back_through_convolution(int layer, int v) {
  int from = maps_of(layer), size = (MAPS * from + 3) / 4;
  f4 *tile = tiles[layer];
  for (int c = 0; c < MAPS; c++)
    on_both(back_to_tiles, 10, 6, flow + c * MAP * v, in_maps(v), products + c * 4 * v, in_tiles(MAPS, v), v);
  for (int k = 0; k < TILE; k++)
    correlate(MAPS, from, 4 * v, products + k * MAPS * 4 * v, tile + k * from * 4 * v, (float *)(turned + k * size));
  on_both(back_to_kernel, 3, 5, turned, in_kernels(5, size), spread, in_kernels(3, size), size);
  float *of_weight = gradient + weights_of(layer), *wide = (float *)spread;
  for (int i = 0; i < MAPS * from; i++)
    for (int k = 0; k < 9; k++) of_weight[9 * i + k] = wide[k * 4 * size + i];
  if (!layer) return; // nothing learns from the gradient of latents
  for (int k = 0; k < TILE; k++) {
    transpose(MAPS, from, (float *)(kernels[layer] + k * size), (float *)turned);
    multiply(from, MAPS, 4 * v, (float *)turned, products + k * MAPS * 4 * v, tile + k * from * 4 * v);
  }
  for (int c = 0; c < from; c++)
    on_both(back_to_map, 6, 10, tile + c * 4 * v, in_tiles(from, v), flow + c * MAP * v, in_maps(v), v);
}

// -- network ----------------------------------------------------------------------------------------------------------

static float *const dense = state + DENSE, *const output = state + OUTPUT;

INLINE float *norm_of(int layer) { return state + weights_of(layer) + (9 * maps_of(layer) + 1) * MAPS; }

// The n `chosen` rows -> `scores`, the log-probabilities, and `predicted`.
EXPORT(forward) __attribute__((noinline)) void forward(int n, int statistics) {
  int v = n / 4;
  float *batch = (float *)active[0], *score = (float *)scores;
  for (int i = 0; i < n; i++) {
    target[i] = label[chosen[i]];
    for (int p = 0; p < MAP; p++) batch[p * n + i] = rows[chosen[i]][p];
  }
  for (int layer = 0; layer < LAYERS; layer++) {
    convolve(layer, v);
    activate(layer, norm_of(layer), MAPS, MAP, v, statistics);
  }
  multiply(HIDDEN, MAPS * MAP, v, dense, active[LAYERS], raw[LAYERS]);
  add_bias(raw[LAYERS], dense + HIDDEN * MAPS * MAP, HIDDEN, v);
  activate(LAYERS, dense + HIDDEN * (MAPS * MAP + 1), HIDDEN, 1, v, statistics);
  multiply(CLASSES, HIDDEN, v, output, active[LAYERS + 1], scores);
  add_bias(scores, output + CLASSES * HIDDEN, CLASSES, v);
  for (int i = 0; i < v; i++) {
    f4 most = scores[i], total = {};
    for (int c = 1; c < CLASSES; c++) most = choose(scores[c * v + i] > most, scores[c * v + i], most);
    for (int c = 0; c < CLASSES; c++) total += exponential(scores[c * v + i] - most);
    for (int c = 0; c < CLASSES; c++) scores[c * v + i] -= most + logarithm(total);
  }
  for (int i = 0; i < n; i++) {
    predicted[i] = 0;
    for (int c = 1; c < CLASSES; c++)
      if (score[c * n + i] > score[predicted[i] * n + i]) predicted[i] = c;
  }
}

// After `forward`: `gradient` of the mean negative log-likelihood of the batch.
EXPORT(backward) __attribute__((noinline)) void backward(int n) {
  int v = n / 4;
  float *score = (float *)scores, *of_output = gradient + OUTPUT, *of_dense = gradient + DENSE;
  for (int i = 0; i < CLASSES * v; i++) scores[i] = exponential(scores[i]);
  for (int i = 0; i < n; i++) score[target[i] * n + i] -= 1;
  for (int i = 0; i < CLASSES * v; i++) scores[i] /= all(n);
  correlate(CLASSES, HIDDEN, v, scores, active[LAYERS + 1], of_output);
  for (int c = 0; c < CLASSES; c++) {
    f4 total = {};
    for (int i = 0; i < v; i++) total += scores[c * v + i];
    of_output[CLASSES * HIDDEN + c] = sum(total);
  }
  transpose(CLASSES, HIDDEN, output, (float *)turned);
  multiply(HIDDEN, CLASSES, v, (float *)turned, scores, flow);
  back_through_activation(LAYERS, dense + HIDDEN * (MAPS * MAP + 1), HIDDEN, 1, v);
  correlate(HIDDEN, MAPS * MAP, v, flow, active[LAYERS], of_dense);
  for (int i = 0; i < HIDDEN * v; i++) products[i] = flow[i];
  transpose(HIDDEN, MAPS * MAP, dense, (float *)turned);
  multiply(MAPS * MAP, HIDDEN, v, (float *)turned, products, flow);
  for (int layer = LAYERS - 1; layer >= 0; layer--) {
    back_through_activation(layer, norm_of(layer), MAPS, MAP, v);
    back_through_convolution(layer, v);
  }
}

// Stochastic gradient descent with momentum 0.9. Running averages have no gradient.
EXPORT(descend) __attribute__((noinline)) void descend(float rate) {
  for (int i = 0; i < STATE / 4; i++) {
    velocity_[i] = velocity_[i] * all(0.9f) + gradient_[i];
    state_[i] -= all(rate) * velocity_[i];
  }
}

// -- the second task --------------------------------------------------------------------------------------------------

// The first of `count` numbers become a random choice in random order (xorshift: Marsaglia, J. Stat. Softw. 8, 2003).
APART void shuffle(short *numbers, int first, int count) {
  for (int i = 0; i < first; i++) {
    random ^= random << 13, random ^= random >> 17, random ^= random << 5;
    int other = i + (int)((unsigned long long)random * (count - i) >> 32);
    short number = numbers[i];
    numbers[i] = numbers[other], numbers[other] = number;
  }
}

// Before the first update: draws of this seed, no momentum. `state`, `rows` and `label` are the caller's to set.
EXPORT(begin) void begin(unsigned seed) {
  random = (seed + 1) * 2654435769u;
  place = 0;
  for (int i = 0; i < ROWS; i++) order[i] = kept[i] = i;
  for (int i = 0; i < STATE / 4; i++) velocity_[i] = gradient_[i] = all(0);
}

APART int update(int n, float rate) {
  int right = 0;
  forward(n, TRAINING);
  for (int i = 0; i < 100; i++) right += predicted[i] == target[i];
  backward(n);
  descend(rate);
  return right;
}

// 100 of the `new` images, which are the first rows, and 100 of the `memory`, which are the rows after them: an update
// on each, or one on both, mixed. `new` is a multiple of 100. Returns how many of the new images were right before it.
EXPORT(learn) int learn(int new, int memory, int mixed, float rate) {
  if (place == 0) shuffle(order, new, new);
  for (int i = 0; i < 100; i++) chosen[i] = order[place + i];
  place = (place + 100) % new;
  int right = mixed && memory ? 0 : update(100, rate);
  if (!memory) return right;
  shuffle(kept, 100, memory);
  for (int i = 0; i < 100; i++) chosen[mixed ? 100 + i : i] = new + kept[i];
  return mixed ? update(200, rate) : (update(100, rate), right);
}

// `guess` for `count` test images of each task, whose rows begin at `old` and `new`; in mixed batches half are of each.
EXPORT(judge) void judge(int old, int new, int count, int statistics, int mixed) {
  for (int at = 0; at < 2 * count; at += 100) {
    for (int i = 0; i < 100; i++)
      chosen[i] = mixed ? (i % 2 ? new : old) + (at + i) / 2 : at < count ? old + at + i : new + at - count + i;
    forward(100, statistics);
    for (int i = 0; i < 100; i++) guess[chosen[i]] = predicted[i];
  }
}

// FNV-1a of the state's bytes.
EXPORT(hash) unsigned long long hash(void) {
  unsigned long long value = 14695981039346656037ull;
  for (int i = 0; i < 4 * STATE; i++) value = (value ^ ((unsigned char *)state)[i]) * 1099511628211ull;
  return value;
}

// -- the compressor of Table 1, frozen --------------------------------------------------------------------------------

// BatchNorm by its running averages, and ELU; `norm` holds weight, bias, mean and variance of `channels` channels.
APART float settle(float z, const float *norm, int channels) {
  float y = (z - norm[2 * channels]) / __builtin_sqrtf(norm[3 * channels] + 1e-5f) * norm[0] + norm[channels];
  return y < 0 ? exponential(all(y))[0] - 1 : y;
}

// `image`, 28 x 28 values from 0 to 1 -> rows[row].
EXPORT(compress) void compress(int row) {
  static float between[10][24][24];
  const float *first = compressor, *second = compressor + 300; // 250 weights, 10 biases, 40 of BatchNorm; 250, 1, 4
  for (int c = 0; c < 10; c++)
    for (int y = 0; y < 24; y++)
      for (int x = 0; x < 24; x++) {
        float z = first[250 + c];
        for (int k = 0; k < 25; k++) z += first[25 * c + k] * image[28 * (y + k / 5) + x + k % 5];
        between[c][y][x] = settle(z, first + 260 + c, 10);
      }
  for (int i = 0; i < MAP; i++) {
    float most = -1; // ELU gives more
    for (int at = 0; at < 9; at++) {
      int y = i / 6 * 3 + at / 3, x = i % 6 * 3 + at % 3;
      float z = second[250];
      for (int c = 0; c < 10; c++)
        for (int k = 0; k < 25; k++) z += second[25 * c + k] * between[c][y + k / 5][x + k % 5];
      z = settle(z, second + 251, 1);
      most = z > most ? z : most;
    }
    rows[row][i] = most;
  }
}
