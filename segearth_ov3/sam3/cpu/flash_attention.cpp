// Softmax attention on a CPU with 512-bit vectors, in one pass over the keys (Dao et al., 2022, "FlashAttention"; the
// running maximum and sum are those of Milakov and Gimelshein, 2018).
//
// One task is 48 queries of one head, held in the cache with their results. Block by block of keys, and six queries at
// a time: 6 x 64 scores are summed in registers, stored, and their maxima kept; then weights are made and summed in
// float32, rounded to the element type, and multiplied with the values. What was summed before is scaled down when a
// larger score turns up. Scores stay in the first-level cache and are never rounded below float32.
//
// Products take "words" of 32 bits: two bfloat16 channels (of a key) or two bfloat16 keys (of a channel), or one
// float32. `pack` puts keys and values into that order:
//
//     keys     [m / 64][words of a key][64 keys]           values     [m / (elements of a word)][D][elements of a word]
//
// with m filled up to a multiple of 64 by zeros, whose scores count as minus infinity.

#include <cstdint>
#include <cstring>

// All heads of one sample; `flash_attention.py` fills in the same. Channels are neighbours in memory.
struct Call {
    int64_t half;                                      // bfloat16, else float32
    int64_t heads, n, m, dim;                          // n queries, m keys, dim 32 or 64
    const void *q, *k, *v;                             // (heads, n or m, dim)
    int64_t q_strides[2], k_strides[2], v_strides[2];  // of heads and tokens, in elements
    void *packed_k, *packed_v;                         // room for keys and values as packed
    void* out;                                         // (n, heads, dim)
    const float *by_row, *by_col;                      // bias (heads, n, height or width), or null
    int64_t height, width;                             // m = height * width
    float scale;                                       // of the products, as exponents of two
    int64_t next_head, next_task;                      // 0 at first; by these the threads share the work
};

// Goes up with every change of this file, here and in `flash_attention.py`: a build from older sources is told by it.
extern "C" int segearth_build() { return 1; }

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)

// Whether this processor can, in bfloat16 or float32.
extern "C" int segearth_supports(int half) {
    if (half && !__builtin_cpu_supports("avx512bf16")) return 0;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")  // from here on only for processors that can
#include <immintrin.h>

namespace {

constexpr int LANES = 16;               // float32 values of a vector
constexpr int COLUMNS = 4;              // vectors of scores in registers, for each of
constexpr int ROWS = 6;                 // queries: 24 sums and 5 factors, of 32 registers
constexpr int GROUP = COLUMNS * LANES;  // keys
constexpr int KEYS = 9 * GROUP;         // of a block
constexpr int QUERIES = 8 * ROWS;       // of a task
constexpr float LOWEST = -1e30f;        // minus infinity that can be subtracted from itself
constexpr float LOG2_E = 1.44269504f;

struct Float32 {
    using Element = float;
    static constexpr int per_word = 1, degree = 7;
    static __m512 multiply_add(__m512 a, __m512 b, __m512 sum) { return _mm512_fmadd_ps(a, b, sum); }
    static void store(float* to, __m512 x) { _mm512_storeu_ps(to, x); }
};

struct BFloat16 {
    using Element = uint16_t;
    static constexpr int per_word = 2, degree = 4;
    static __m512 multiply_add(__m512 a, __m512 b, __m512 sum) {
        return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_castps_si512(a), (__m512bh)_mm512_castps_si512(b));
    }
    static void store(uint16_t* to, __m512 x) { _mm256_storeu_si256((__m256i*)to, (__m256i)_mm512_cvtneps_pbh(x)); }
};

// Taylor's polynomial of 2^x around the nearest integer; relative error below 6e-5 (degree 4) and 1e-8 (degree 7).
template <int degree>
inline __m512 power_of_two(__m512 x) {
    constexpr float factors[] = {1.f,           .693147181f,   .240226507f,    .0555041087f,
                                 .00961812911f, .00133335581f, .000154035304f, .0000152527338f};
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 rest = _mm512_sub_ps(x, whole);
    __m512 y = _mm512_set1_ps(factors[degree]);
#pragma GCC unroll 8
    for (int i = degree - 1; i >= 0; --i) y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(factors[i]));
    return _mm512_scalef_ps(y, whole);
}

inline __m512 repeat_word(const void* from) {
    float word;
    std::memcpy(&word, from, sizeof word);
    return _mm512_set1_ps(word);
}

int64_t filled_up(int64_t keys) { return (keys + GROUP - 1) / GROUP * GROUP; }

// Some queries of one head, and what they have read so far.
template <class Type, int D>
struct Task {
    using Element = typename Type::Element;
    static constexpr int P = Type::per_word, VECTORS = D / LANES;

    alignas(64) Element queries[QUERIES][D];
    alignas(64) float read[QUERIES][D];      // weighted values and
    alignas(64) float sums[QUERIES][LANES];  // weights, both relative to
    float largest[QUERIES];                  // the largest score so far
    // of one tile, ROWS queries, with one block of keys
    alignas(64) float scores[ROWS][KEYS];
    alignas(64) Element weights[ROWS][KEYS];
    __m512 maxima[ROWS];  // of scores
    __m512 fade[ROWS];    // what relative to the largest score before is to be multiplied with

    // Bias of one query to `count` keys from `first` on, as a score.
    void lay_bias(float* to, const float* by_row, const float* by_col, int64_t width, int64_t first, int64_t count,
                  float factor) {
        for (int64_t done = 0; done < count;) {
            const int64_t row = (first + done) / width, col = (first + done) % width;
            const int64_t length = width - col < count - done ? width - col : count - done;
            for (int64_t i = 0; i < length; i += LANES) {
                const __mmask16 some = length - i < LANES ? (1 << (length - i)) - 1 : 0xffff;
                const __m512 of_col = _mm512_maskz_loadu_ps(some, by_col + col + i);
                const __m512 sum = _mm512_add_ps(_mm512_set1_ps(by_row[row]), of_col);
                _mm512_mask_storeu_ps(to + done + i, some, _mm512_mul_ps(sum, _mm512_set1_ps(factor)));
            }
            done += length;
        }
    }

    // Scores of a tile with `count` keys, of which those after `real` are padding, added to a bias that is there.
    void score(int tile, const Element* keys, int count, int64_t real, bool biased) {
        __m512 high[ROWS];  // a local one stays in registers
        for (__m512& one : high) one = _mm512_set1_ps(LOWEST);
        for (int at = 0; at < count; at += GROUP, keys += GROUP * D) {
            __m512 sum[ROWS][COLUMNS];
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 8
                for (int c = 0; c < COLUMNS; ++c) sum[r][c] = _mm512_setzero_ps();
            for (int channel = 0; channel < D; channel += P) {
                __m512 key[COLUMNS];
#pragma GCC unroll 8
                for (int c = 0; c < COLUMNS; ++c) key[c] = _mm512_load_ps(keys + channel * GROUP + c * LANES * P);
#pragma GCC unroll 8
                for (int r = 0; r < ROWS; ++r) {
                    const __m512 query = repeat_word(queries[tile + r] + channel);
#pragma GCC unroll 8
                    for (int c = 0; c < COLUMNS; ++c) sum[r][c] = Type::multiply_add(query, key[c], sum[r][c]);
                }
            }
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 8
                for (int c = 0; c < COLUMNS; ++c) {
                    if (biased) sum[r][c] = _mm512_add_ps(sum[r][c], _mm512_load_ps(scores[r] + at + c * LANES));
                    const int64_t left = real - at - c * LANES;
                    if (left < LANES) {
                        const __mmask16 gone = left <= 0 ? 0xffff : 0xffff << left;
                        sum[r][c] = _mm512_mask_mov_ps(sum[r][c], gone, _mm512_set1_ps(LOWEST));
                    }
                    _mm512_store_ps(scores[r] + at + c * LANES, sum[r][c]);
                    high[r] = _mm512_max_ps(high[r], sum[r][c]);
                }
        }
        for (int r = 0; r < ROWS; ++r) maxima[r] = high[r];
    }

    // Scores to weights and their sums.
    void weigh(int tile, int count, float scale) {
        for (int r = 0; r < ROWS; ++r) {
            const float before = largest[tile + r], now = _mm512_reduce_max_ps(maxima[r]);
            const float top = largest[tile + r] = now > before ? now : before;
            fade[r] = power_of_two<Type::degree>(_mm512_set1_ps((before - top) * scale));
            __m512 sum = _mm512_mul_ps(_mm512_load_ps(sums[tile + r]), fade[r]);
#pragma GCC unroll 4
            for (int at = 0; at < count; at += LANES) {
                const __m512 below = _mm512_sub_ps(_mm512_load_ps(scores[r] + at), _mm512_set1_ps(top));
                const __m512 weight = power_of_two<Type::degree>(_mm512_mul_ps(below, _mm512_set1_ps(scale)));
                sum = _mm512_add_ps(sum, weight);
                Type::store(weights[r] + at, weight);
            }
            _mm512_store_ps(sums[tile + r], sum);
        }
    }

    // Add the weighted values.
    void gather(int tile, const Element* values, int count) {
        __m512 sum[ROWS][VECTORS];
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 8
            for (int c = 0; c < VECTORS; ++c)
                sum[r][c] = _mm512_mul_ps(_mm512_load_ps(read[tile + r] + c * LANES), fade[r]);
        for (int at = 0; at < count; at += P) {
            __m512 value[VECTORS];
#pragma GCC unroll 8
            for (int c = 0; c < VECTORS; ++c) value[c] = _mm512_load_ps(values + at * D + c * LANES * P);
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; ++r) {
                const __m512 weight = repeat_word(weights[r] + at);
#pragma GCC unroll 8
                for (int c = 0; c < VECTORS; ++c) sum[r][c] = Type::multiply_add(weight, value[c], sum[r][c]);
            }
        }
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 8
            for (int c = 0; c < VECTORS; ++c) _mm512_store_ps(read[tile + r] + c * LANES, sum[r][c]);
    }
};

template <class Type, int D>
void attend_task(const Call& call, int64_t head, int64_t first_query) {
    using Element = typename Type::Element;
    const int64_t padded = filled_up(call.m), first_row = head * call.n + first_query;  // of the bias
    const int n = call.n - first_query < QUERIES ? call.n - first_query : QUERIES;
    const Element* q = (const Element*)call.q + head * call.q_strides[0] + first_query * call.q_strides[1];
    const Element* k = (const Element*)call.packed_k + head * padded * D;
    const Element* v = (const Element*)call.packed_v + head * padded * D;
    Element* out = (Element*)call.out + (first_query * call.heads + head) * D;

    Task<Type, D> task{};
    for (int i = 0; i < n; ++i) std::memcpy(task.queries[i], q + i * call.q_strides[1], sizeof task.queries[i]);
    for (float& one : task.largest) one = LOWEST;

    for (int64_t first = 0; first < padded; first += KEYS) {
        const int count = padded - first < KEYS ? padded - first : KEYS;
        const int64_t real = call.m - first < count ? call.m - first : count;
        for (int tile = 0; tile < n; tile += ROWS) {
            for (int r = 0; call.by_row && r < ROWS && tile + r < n; ++r) {
                const int64_t row = first_row + tile + r;
                task.lay_bias(task.scores[r], call.by_row + row * call.height, call.by_col + row * call.width,
                              call.width, first, real, LOG2_E / call.scale);
            }
            task.score(tile, k + first * D, count, real, call.by_row);
            task.weigh(tile, count, call.scale);
            task.gather(tile, v + first * D, count);
        }
    }

    for (int i = 0; i < n; ++i, out += call.heads * D) {
        const __m512 whole = _mm512_set1_ps(_mm512_reduce_add_ps(_mm512_load_ps(task.sums[i])));
        for (int c = 0; c < D; c += LANES)
            Type::store(out + c, _mm512_div_ps(_mm512_load_ps(task.read[i] + c), whole));
    }
}

template <class Type>
void pack_head(const Call& call, int64_t head) {
    using Element = typename Type::Element;
    constexpr int P = Type::per_word;
    const int64_t padded = filled_up(call.m), dim = call.dim;
    const Element* k = (const Element*)call.k + head * call.k_strides[0];
    const Element* v = (const Element*)call.v + head * call.v_strides[0];
    Element* to_k = (Element*)call.packed_k + head * padded * dim;
    Element* to_v = (Element*)call.packed_v + head * padded * dim;
    std::memset(to_k + (padded - GROUP) * dim, 0, GROUP * dim * sizeof(Element));
    std::memset(to_v + (padded - GROUP) * dim, 0, GROUP * dim * sizeof(Element));
    for (int64_t i = 0; i < call.m; ++i) {
        for (int64_t channel = 0; channel < dim; channel += P)
            std::memcpy(to_k + i / GROUP * GROUP * dim + channel * GROUP + i % GROUP * P,
                        k + i * call.k_strides[1] + channel, P * sizeof(Element));
        for (int64_t channel = 0; channel < dim; ++channel)
            to_v[i / P * P * dim + channel * P + i % P] = v[i * call.v_strides[1] + channel];
    }
}

int64_t take(int64_t& next) { return __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED); }

}  // namespace

// Both are called by each thread and return when nothing is left to take.
extern "C" void segearth_pack(Call* call) {
    const auto work = call->half ? pack_head<BFloat16> : pack_head<Float32>;
    for (int64_t head; (head = take(call->next_head)) < call->heads;) work(*call, head);
}

extern "C" void segearth_attend(Call* call) {
    const auto work = call->half ? (call->dim == 32 ? attend_task<BFloat16, 32> : attend_task<BFloat16, 64>)
                                 : (call->dim == 32 ? attend_task<Float32, 32> : attend_task<Float32, 64>);
    const int64_t per_head = (call->n + QUERIES - 1) / QUERIES;
    for (int64_t task; (task = take(call->next_task)) < call->heads * per_head;)
        work(*call, task / per_head, task % per_head * QUERIES);
}

#else  // another processor or compiler

extern "C" int segearth_supports(int) { return 0; }

#endif
