#include "sample.h"
#include <assert.h>
#include <stdlib.h>

struct ranked {
    double value;
    uint32_t round;
};

static int by_value(const void *left, const void *right)
{
    double a = ((const struct ranked *)left)->value, b = ((const struct ranked *)right)->value;
    return (a > b) - (a < b);
}

static struct ranked *rank(const double *values, uint32_t count)
{
    struct ranked *ranked = malloc(count * sizeof *ranked);
    assert(ranked != nullptr);
    for (uint32_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){values[i], i};
    qsort(ranked, count, sizeof *ranked, by_value);
    return ranked;
}

double sample_quantile(const double *values, uint32_t count, double share)
{
    struct ranked *ranked = rank(values, count);
    uint32_t index = (uint32_t)(share * count);
    double value = ranked[index < count ? index : count - 1].value;
    free(ranked);
    return value;
}

double sample_median(const double *values, uint32_t count)
{
    return sample_quantile(values, count, 0.5);
}

/* The median when each round counts as often as it was drawn. */
static double drawn_median(const struct ranked *ranked, uint32_t count, const uint16_t *drawn)
{
    uint32_t passed = 0;
    for (uint32_t i = 0; i < count; i++) {
        passed += drawn[ranked[i].round];
        if (2 * passed > count) return ranked[i].value;
    }
    return ranked[count - 1].value;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

struct interval sample_ratio_interval(const double *above, const double *below, uint32_t count,
                                      struct random *random)
{
    constexpr uint32_t draws = 2000;
    static double ratios[draws];
    struct ranked *top = rank(above, count), *bottom = rank(below, count);
    uint16_t *drawn = calloc(count, sizeof *drawn);
    assert(drawn != nullptr);
    for (uint32_t i = 0; i < draws; i++) {
        memset(drawn, 0, count * sizeof *drawn);
        for (uint32_t j = 0; j < count; j++)
            drawn[random_below(random, count)] += 1;
        ratios[i] = drawn_median(top, count, drawn) / drawn_median(bottom, count, drawn);
    }
    free(drawn);
    free(bottom);
    free(top);
    qsort(ratios, draws, sizeof *ratios, by_size);
    return (struct interval){ratios[draws / 40], ratios[draws - 1 - draws / 40]};
}
