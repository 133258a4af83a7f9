/* ARMA(1,1): y_t = mu + phi y_{t-1} + theta e_{t-1} + e_t, e_t ~ N(0, sigma²), y_1 = mu + phi mu + e_1; priors of posteriordb:
 * mu ~ N(0, 10), phi, theta ~ N(0, 2), sigma ~ half-Cauchy(2.5). Build: cc -shared -fPIC -O2 -o arma.so arma.c -lm */
#define D 4
#define NAMES "mu,phi,theta,sigma"
#define KINDS "rrrp"
#include "states.h"

static dual log_density(const double *y, int n, const dual *x) {
  dual mu = x[0], phi = x[1], theta = x[2], sigma = x[3];
  dual log_p = linear(0, add(linear(0, mul(mu, mu), 0.04), add(mul(phi, phi), mul(theta, theta))), -0.125);
  log_p = add(log_p, linear(0, logarithm(linear(1, mul(sigma, sigma), 0.16)), -1));
  dual e = {0};
  for (int t = 0; t < n; t++) {
    dual past = t ? linear(0, phi, y[t - 1]) : mul(phi, mu);
    e = linear(y[t], add(mu, add(past, mul(theta, e))), -1);
    log_p = add(log_p, log_normal(e, sigma));
  }
  return log_p;
}
