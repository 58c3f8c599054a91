/* Products of a matrix V, as it is stored, with a few columns: Vᵀ·B and V·X.
 *
 * V is read once per product, row after row, and nothing of its size is written. Its elements are
 * widened in registers and multiplied in float32, or, in Vᵀ·B where both are in bfloat16,
 * multiplied pair by pair in that, with sums in float32: no such product loses anything.
 *
 * Threads are those of the OpenMP runtime that torch has loaded: this file is linked against none.
 */
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define NATIVE 1
#include <immintrin.h>
#endif

enum kind { BFLOAT16, FLOAT16, FLOAT32 }; /* what V is stored in */
enum level { NOTHING, FLOATS, PAIRS };    /* what this processor can do */

int thin_level(void) {
#ifdef NATIVE
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
        return NOTHING;
    return __builtin_cpu_supports("avx512bf16") ? PAIRS : FLOATS;
#else
    return NOTHING;
#endif
}

#ifdef NATIVE

#define COLUMNS 8  /* of B or X at a time: with two vectors each they fill half the registers */
#define FEW_ROWS 64 /* of V at a time in Vᵀ·B, sums being kept in registers for so long; */
#define MORE_ROWS 96 /* where arithmetic takes longer than reading these are quicker (measured) */
#define STEP 32    /* elements of a row of V at a time: a cache line in 16 bits */
#define DOTS 3     /* rows of V at a time in V·X, */
#define AHEAD 12   /* and how many rows before they are needed their bytes are asked for */

#define TARGET_FLOATS __attribute__((target("avx512f,avx512bw,fma,f16c")))
#define TARGET_PAIRS __attribute__((target("avx512f,avx512bw,avx512bf16,fma,f16c")))
#define INLINE static inline __attribute__((always_inline))

/* `lead`: elements from the start of a cache line to V's first one. Steps are counted from there, so
 * that they read whole lines wherever a file's header has put V: lines cut in two take up to three
 * times as long. The first step begins at column -lead, then. */
typedef struct {
    const void *data;
    enum kind kind;
    long rows, columns, lead;
} matrix;

INLINE const char *element(matrix v, long row, long column) {
    long size = v.kind == FLOAT32 ? 4 : 2;
    return (const char *)v.data + (row * v.columns + column) * size;
}

INLINE void ahead(matrix v, long row, long column) {
    if (row < v.rows)
        _mm_prefetch(element(v, row, column), _MM_HINT_T1);
}

#define WHOLE 0xffffffffu

/* Which of the STEP elements from `column` on there are. */
INLINE uint32_t there(matrix v, long column) {
    uint32_t mask = WHOLE;
    if (column < 0)
        mask <<= -column;
    if (v.columns - column < STEP)
        mask &= (1u << (v.columns - column)) - 1;
    return mask;
}

/* Elements `column` to `column + 15` of a row, as zeros those that are masked out. */
TARGET_FLOATS INLINE __m512 floats_at(matrix v, long row, long column, uint32_t masked) {
    __mmask16 mask = (__mmask16)masked;
    const char *from = element(v, row, column);
    if (v.kind == FLOAT32)
        return _mm512_maskz_loadu_ps(mask, from);
    __m512i wide = _mm512_cvtepu16_epi32(
        _mm512_castsi512_si256(_mm512_maskz_loadu_epi16((__mmask32)mask, from)));
    if (v.kind == BFLOAT16)
        return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(wide));
}

/* Elements `column` to `column + 31` of a row of bfloat16, likewise. */
TARGET_PAIRS INLINE __m512i pairs_at(matrix v, long row, long column, uint32_t mask) {
    return _mm512_maskz_loadu_epi16(mask, element(v, row, column));
}

TARGET_FLOATS INLINE void load_sums(__m512 sums[COLUMNS][2], const float *x, long stride) {
    for (int c = 0; c < COLUMNS; c++)
        for (int half = 0; half < 2; half++)
            sums[c][half] = _mm512_loadu_ps(x + c * stride + 16 * half);
}

TARGET_FLOATS INLINE void store_sums(__m512 sums[COLUMNS][2], float *x, long stride) {
    for (int c = 0; c < COLUMNS; c++)
        for (int half = 0; half < 2; half++)
            _mm512_storeu_ps(x + c * stride + 16 * half, sums[c][half]);
}

/* Vᵀ·B: to STEP elements of COLUMNS rows of X add what rows `first` to `last` of V give. */
TARGET_FLOATS INLINE void add_floats(matrix v, long first, long last, long column, uint32_t mask,
                                     const float *b, long r, float *x, long stride) {
    __m512 sums[COLUMNS][2];
    load_sums(sums, x, stride);
    for (long row = first; row < last; row++) {
        __m512 low = floats_at(v, row, column, mask);
        __m512 high = floats_at(v, row, column + 16, mask >> 16);
        for (int c = 0; c < COLUMNS; c++) {
            __m512 factor = _mm512_set1_ps(b[row * r + c]);
            sums[c][0] = _mm512_fmadd_ps(low, factor, sums[c][0]);
            sums[c][1] = _mm512_fmadd_ps(high, factor, sums[c][1]);
        }
    }
    store_sums(sums, x, stride);
}

/* The same two rows at a time; `b` holds those rows' factors as pairs of bfloat16. Sums are in the
 * order in which `unpack` leaves V's elements: see `in_order`. A last odd row is taken twice, its
 * second factor being zero. */
TARGET_PAIRS INLINE void add_pairs(matrix v, long first, long last, long column, uint32_t mask,
                                   const uint32_t *b, long r, float *x, long stride) {
    __m512 sums[COLUMNS][2];
    load_sums(sums, x, stride);
    for (long row = first; row < last; row += 2) {
        __m512i even = pairs_at(v, row, column, mask);
        __m512i odd = row + 1 < last ? pairs_at(v, row + 1, column, mask) : even;
        __m512bh low = (__m512bh)_mm512_unpacklo_epi16(even, odd);
        __m512bh high = (__m512bh)_mm512_unpackhi_epi16(even, odd);
        for (int c = 0; c < COLUMNS; c++) {
            __m512bh factor = (__m512bh)_mm512_set1_epi32((int)b[row / 2 * r + c]);
            sums[c][0] = _mm512_dpbf16_ps(sums[c][0], low, factor);
            sums[c][1] = _mm512_dpbf16_ps(sums[c][1], high, factor);
        }
    }
    store_sums(sums, x, stride);
}

/* Undo, in STEP sums, what `unpack` did to the order of V's elements. */
TARGET_FLOATS INLINE void in_order(float *x) {
    __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
    __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    _mm512_storeu_ps(x, _mm512_permutex2var_ps(low, first, high));
    _mm512_storeu_ps(x + 16, _mm512_permutex2var_ps(low, second, high));
}

/* V·X: DOTS rows of V with COLUMNS rows of X, whose rows have zeros where V has nothing. */
TARGET_FLOATS INLINE void dot_floats(matrix v, const long rows[DOTS], const float *x, long stride,
                                     float sums[DOTS][COLUMNS]) {
    __m512 partial[DOTS][COLUMNS];
    for (int row = 0; row < DOTS; row++)
        for (int c = 0; c < COLUMNS; c++)
            partial[row][c] = _mm512_setzero_ps();
    for (long place = 0; place < stride; place += 16) {
        long step = place / STEP * STEP - v.lead;
        uint32_t mask = there(v, step) >> place % STEP;
        __m512 taken[DOTS];
        for (int row = 0; row < DOTS; row++) {
            taken[row] = floats_at(v, rows[row], place - v.lead, mask);
            ahead(v, rows[row] + AHEAD, place - v.lead);
        }
        for (int c = 0; c < COLUMNS; c++) {
            __m512 factor = _mm512_loadu_ps(x + c * stride + place);
            for (int row = 0; row < DOTS; row++)
                partial[row][c] = _mm512_fmadd_ps(taken[row], factor, partial[row][c]);
        }
    }
    for (int row = 0; row < DOTS; row++)
        for (int c = 0; c < COLUMNS; c++)
            sums[row][c] = _mm512_reduce_add_ps(partial[row][c]);
}

/* Places `from` to `to` of X (r, stride): (Vᵀ·B)ᵀ after `lead` zeros. */
TARGET_FLOATS INLINE void back_floats(matrix v, const float *b, long r, float *x, long stride,
                                      long from, long to) {
    int few = r <= 3 * COLUMNS; /* then this is quicker than arithmetic that waits for V (measured) */
    long step = few ? FEW_ROWS : MORE_ROWS;
    for (long first = 0; first < v.rows; first += step) {
        long last = first + step < v.rows ? first + step : v.rows;
        for (long place = from; place < to; place += STEP) {
            long column = place - v.lead;
            uint32_t mask = there(v, column);
            if (few)
                for (long row = last; row < last + step; row++)
                    ahead(v, row, column);
            for (long c = 0; c < r; c += COLUMNS) {
                float *sums = x + c * stride + place;
                if (mask == WHOLE)
                    add_floats(v, first, last, column, WHOLE, b + c, r, sums, stride);
                else
                    add_floats(v, first, last, column, mask, b + c, r, sums, stride);
            }
        }
    }
}

TARGET_PAIRS INLINE void back_pairs(matrix v, const uint32_t *b, long r, float *x, long stride,
                                    long from, long to) {
    long step = r > COLUMNS ? MORE_ROWS : FEW_ROWS;
    for (long first = 0; first < v.rows; first += step) {
        long last = first + step < v.rows ? first + step : v.rows;
        for (long place = from; place < to; place += STEP) {
            long column = place - v.lead;
            uint32_t mask = there(v, column);
            if (r <= COLUMNS)
                for (long row = last; row < last + step; row++)
                    ahead(v, row, column);
            for (long c = 0; c < r; c += COLUMNS) {
                float *sums = x + c * stride + place;
                if (mask == WHOLE)
                    add_pairs(v, first, last, column, WHOLE, b + c, r, sums, stride);
                else
                    add_pairs(v, first, last, column, mask, b + c, r, sums, stride);
            }
        }
    }
    for (long place = from; place < to; place += STEP)
        for (long c = 0; c < r; c++)
            in_order(x + c * stride + place);
}

/* Rows `from` to `to` of Y (rows of V, r) = V·Xᵀ. */
TARGET_FLOATS INLINE void forward_floats(matrix v, const float *x, long r, long stride, float *y,
                                         long from, long to) {
    float sums[DOTS][COLUMNS];
    for (long first = from; first < to; first += DOTS) {
        long rows[DOTS];
        for (int n = 0; n < DOTS; n++)
            rows[n] = first + n < to ? first + n : to - 1;
        for (long c = 0; c < r; c += COLUMNS) {
            dot_floats(v, rows, x + c * stride, stride, sums);
            for (int n = 0; n < DOTS; n++)
                memcpy(y + rows[n] * r + c, sums[n], sizeof sums[n]);
        }
    }
}

/* Each kind of V apart, so that the loops above are compiled for it. */
#define FOR_KIND(v, call)                                                                          \
    switch ((v).kind) {                                                                            \
    case BFLOAT16: (v).kind = BFLOAT16; call; break;                                               \
    case FLOAT16: (v).kind = FLOAT16; call; break;                                                 \
    case FLOAT32: (v).kind = FLOAT32; call; break;                                                 \
    }

TARGET_FLOATS static void back_part_floats(matrix v, const float *b, long r, float *x, long stride,
                                           long from, long to) {
    FOR_KIND(v, back_floats(v, b, r, x, stride, from, to))
}

TARGET_PAIRS static void back_part_pairs(matrix v, const uint32_t *b, long r, float *x, long stride,
                                         long from, long to) {
    v.kind = BFLOAT16;
    back_pairs(v, b, r, x, stride, from, to);
}

TARGET_FLOATS static void forward_part_floats(matrix v, const float *x, long r, long stride,
                                              float *y, long from, long to) {
    FOR_KIND(v, forward_floats(v, x, r, stride, y, from, to))
}

/* X (r, stride), zero at first, becomes (Vᵀ·B)ᵀ after `lead` zeros: r is a multiple of COLUMNS, and
 * `stride` of STEP, with room for `lead` and V's columns. B is (rows of V, r) in float32; for pairs,
 * which take a V in bfloat16, (half of these, rounded up, r, 2) in bfloat16. The number of threads
 * changes no bit of it: each has places of its own. */
#define BACK(part_of, type)                                                                        \
    matrix v = {data, (enum kind)kind, rows, columns, lead};                                       \
    long steps = stride / STEP;                                                                    \
    _Pragma("omp parallel for schedule(static) num_threads(threads)")                              \
    for (long part = 0; part < threads; part++)                                                    \
        part_of(v, (const type *)b, r, x, stride, steps * part / threads * STEP,                   \
                steps * (part + 1) / threads * STEP);

void thin_back_floats(const void *data, int kind, long rows, long columns, long lead, const void *b,
                      long r, long stride, float *x, long threads) {
    BACK(back_part_floats, float)
}

void thin_back_pairs(const void *data, int kind, long rows, long columns, long lead, const void *b,
                     long r, long stride, float *x, long threads) {
    BACK(back_part_pairs, uint32_t)
}

/* Y (rows of V, r) = V·Xᵀ for X (r, stride) as above, in float32. Each thread has rows of its own. */
void thin_forward_floats(const void *data, int kind, long rows, long columns, long lead,
                         const float *x, long r, long stride, float *y, long threads) {
    matrix v = {data, (enum kind)kind, rows, columns, lead};
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long part = 0; part < threads; part++)
        forward_part_floats(v, x, r, stride, y, rows * part / threads,
                            rows * (part + 1) / threads);
}

#endif
