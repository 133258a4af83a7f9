/* Two hidden states: y_t ~ N(mu_k, 1) in state k, which stays with probability stay_k; the first state is either with 1/2. Priors as in
 * hmm_example of posteriordb: mu_1 ~ N(3, 1), mu_2 ~ N(10, 1), 0 < mu_1 < mu_2, stay uniform. The sum over all paths is the forward
 * recursion. Build: cc -shared -fPIC -O2 -o hmm.so hmm.c -lm */
#define D 4
#define NAMES "mu.1,mu.2,stay.1,stay.2"
#define KINDS "pouu"
#include "states.h"

static dual log_density(const double *y, int n, const dual *x) {
  dual one = {.v = 1}, log_p = add(log_normal(linear(-3, x[0], 1), one), log_normal(linear(-10, x[1], 1), one));
  dual stay[2] = {logarithm(x[2]), logarithm(x[3])};
  dual leave[2] = {logarithm(linear(1, x[2], -1)), logarithm(linear(1, x[3], -1))};
  dual a[2] = {0};
  for (int t = 0; t < n; t++) {
    dual next[2] = {a[0], a[1]};
    for (int k = 0; k < 2 && t; k++) next[k] = log_sum(add(a[k], stay[k]), add(a[1 - k], leave[1 - k]));
    for (int k = 0; k < 2; k++) a[k] = add(next[k], log_normal(linear(-y[t], x[k], 1), one));
  }
  return add(log_p, log_sum(a[0], a[1]));
}
