/* GARCH(1,1), a model whose state runs along the data, with BridgeStan's C interface; normal.c says more about that.
 * y_t ~ N(mu, s_t), s_1² = variance of y, s_t² = a0 + a1 (y_{t-1} - mu)² + b1 s_{t-1}²; a0 > 0, 0 < a1 < 1, 0 < b1 < 1 - a1, flat priors.
 * The unconstrained parameters are mu, log a0, logit a1, logit b1/(1 - a1). Data: {"y": [numbers]}, as JSON or in a file that ends in .json.
 * Build: cc -shared -fPIC -O2 -o garch.so garch.c -lm */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bs_model {
  int n;
  double y[1000], variance;
} bs_model;

const int bs_major_version = 2;

static void say(char **message, const char *text) {
  if (message) {
    *message = malloc(strlen(text) + 1);
    if (*message) strcpy(*message, text);
  }
}

bs_model *bs_model_construct(const char *data, unsigned int seed, char **message) {
  (void)seed;
  static char text[65536];
  size_t length = data ? strlen(data) : 0;
  if (length > 5 && strcmp(data + length - 5, ".json") == 0) {
    FILE *file = fopen(data, "r");
    if (!file) return say(message, "cannot open the data"), NULL;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    data = text;
  }
  const char *at = data ? strstr(data, "\"y\"") : NULL;
  at = at ? strchr(at, '[') : NULL;
  if (!at) return say(message, "variable y is missing in the data"), NULL;
  bs_model *m = calloc(1, sizeof *m);
  for (char *end; m && m->n < 1000; at = end) {
    m->y[m->n] = strtod(at + 1, &end);
    if (end == at + 1) break;
    m->n++;
    while (*end && *end != ',' && *end != ']') end++;
    if (*end != ',') break;
  }
  double sum = 0, square = 0;
  for (int t = 0; m && t < m->n; t++) sum += m->y[t], square += m->y[t] * m->y[t];
  if (m) m->variance = square / m->n - sum / m->n * (sum / m->n);
  return m;
}

void bs_model_destruct(bs_model *m) { free(m); }
void bs_free_error_msg(char *message) { free(message); }
const char *bs_model_info(const bs_model *m) { return (void)m, "STAN_THREADS=true"; }
const char *bs_param_names(const bs_model *m, bool tp, bool gq) { return (void)m, (void)tp, (void)gq, "mu,a0,a1,b1"; }
int bs_param_unc_num(const bs_model *m) { return (void)m, 4; }

static double inv_logit(double u) { return 1 / (1 + exp(-u)); }
/* log of x(1 - x) at x = inv_logit(u) */
static double log_slope(double u) { return -fabs(u) - 2 * log1p(exp(-fabs(u))); }

int bs_param_constrain(const bs_model *m, bool tp, bool gq, const double *u, double *x, void *rng, char **message) {
  (void)m, (void)tp, (void)gq, (void)rng, (void)message;
  x[0] = u[0], x[1] = exp(u[1]), x[2] = inv_logit(u[2]), x[3] = inv_logit(-u[2]) * inv_logit(u[3]);
  return 0;
}

int bs_param_unconstrain(const bs_model *m, const double *x, double *u, char **message) {
  (void)m;
  if (!(x[1] > 0 && x[2] > 0 && x[2] < 1 && x[3] > 0 && x[3] < 1 - x[2]))
    return say(message, "a0, a1 and b1 must be positive, and a1 + b1 below 1"), -1;
  u[0] = x[0], u[1] = log(x[1]), u[2] = log(x[2] / (1 - x[2])), u[3] = log(x[3] / (1 - x[2] - x[3]));
  return 0;
}

int bs_log_density_gradient(const bs_model *m, bool propto, bool jacobian, const double *u, double *value, double *grad,
                            char **message) {
  (void)propto;
  double x[4];
  bs_param_constrain(m, false, false, u, x, NULL, message);
  double mu = x[0], a0 = x[1], a1 = x[2], b1 = x[3], log_p = 0, g[4] = {0};
  /* v = s_t² and its derivatives by mu, a0, a1, b1 */
  double v = m->variance, dv[4] = {0};
  for (int t = 0; t < m->n; t++) {
    double e = m->y[t] - mu;
    if (!isfinite(v) || v <= 0) return say(message, "a variance is not positive and finite"), -1;
    log_p -= 0.5 * (e * e / v + log(v));
    g[0] += e / v;
    for (int k = 0; k < 4; k++) g[k] += 0.5 * (e * e / v - 1) / v * dv[k];
    double own[4] = {-2 * a1 * e, 1, e * e, v};
    for (int k = 0; k < 4; k++) dv[k] = own[k] + b1 * dv[k];
    v = a0 + a1 * e * e + b1 * v;
  }
  /* the Jacobian: log a0, log a1(1 - a1), and log (1 - a1) b(1 - b) with b = b1/(1 - a1) */
  double rest = inv_logit(-u[2]), b = inv_logit(u[3]);
  double log_rest = -fmax(u[2], 0) - log1p(exp(-fabs(u[2])));
  if (jacobian) log_p += u[1] + log_slope(u[2]) + log_rest + log_slope(u[3]);
  *value = log_p;
  if (grad) {
    double one = jacobian;
    grad[0] = g[0];
    grad[1] = g[1] * a0 + one;
    grad[2] = g[2] * a1 * rest - g[3] * a1 * rest * b + one * (1 - 2 * a1 - a1);
    grad[3] = g[3] * rest * b * (1 - b) + one * (1 - 2 * b);
  }
  return 0;
}

int bs_log_density(const bs_model *m, bool propto, bool jacobian, const double *u, double *value, char **message) {
  return bs_log_density_gradient(m, propto, jacobian, u, value, NULL, message);
}
