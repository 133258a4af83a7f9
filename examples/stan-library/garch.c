/* GARCH(1,1): y_t ~ N(mu, s_t), s_1² = variance of y, s_t² = a0 + a1 (y_{t-1} - mu)² + b1 s_{t-1}²; a0 > 0, 0 < a1 < 1, 0 < b1 < 1 - a1,
 * flat priors. Build: cc -shared -fPIC -O2 -o garch.so garch.c -lm */
#define D 4
#define NAMES "mu,a0,a1,b1"
#define KINDS "rpus"
#include "states.h"

static dual log_density(const double *y, int n, const dual *x) {
  dual mu = x[0], a0 = x[1], a1 = x[2], b1 = x[3], log_p = {0};
  double sum = 0, square = 0;
  for (int t = 0; t < n; t++) sum += y[t], square += y[t] * y[t];
  dual v = {.v = square / n - sum / n * (sum / n)};
  for (int t = 0; t < n; t++) {
    dual e = linear(y[t], mu, -1), e2 = mul(e, e);
    /* log N(e; 0, v), up to a constant */
    log_p = of(log_p.v - 0.5 * (e2.v / v.v + log(v.v)), add(log_p, linear(0, e2, -0.5 / v.v)), 1, v, 0.5 * (e2.v / v.v - 1) / v.v);
    v = add(a0, add(mul(a1, e2), mul(b1, v)));
  }
  return log_p;
}
