/* A model with BridgeStan's C interface, written by hand: y_i ~ N(mu, sigma), mu ~ N(0, 5), sigma ~ Exp(1), sigma > 0.
 * The unconstrained parameters are (mu, log sigma). Data: {"y": [numbers]}, as JSON or in a file that ends in .json.
 * Build: cc -shared -fPIC -O2 -o normal.so normal.c -lm */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bs_model {
  int n;
  double y[1000];
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
  return m;
}

void bs_model_destruct(bs_model *m) { free(m); }
void bs_free_error_msg(char *message) { free(message); }
const char *bs_model_info(const bs_model *m) { return (void)m, "STAN_THREADS=true"; }
const char *bs_param_names(const bs_model *m, bool tp, bool gq) { return (void)m, (void)tp, (void)gq, "mu,sigma"; }
int bs_param_unc_num(const bs_model *m) { return (void)m, 2; }

int bs_param_constrain(const bs_model *m, bool tp, bool gq, const double *u, double *x, void *rng, char **message) {
  (void)m, (void)tp, (void)gq, (void)rng, (void)message;
  x[0] = u[0];
  x[1] = exp(u[1]);
  return 0;
}

int bs_param_unconstrain(const bs_model *m, const double *x, double *u, char **message) {
  (void)m;
  if (!(x[1] > 0)) return say(message, "sigma must be positive"), -1;
  u[0] = x[0];
  u[1] = log(x[1]);
  return 0;
}

int bs_log_density_gradient(const bs_model *m, bool propto, bool jacobian, const double *u, double *value, double *grad,
                            char **message) {
  (void)propto;
  double mu = u[0], sigma = exp(u[1]);
  if (!isfinite(sigma) || sigma == 0) return say(message, "sigma is not positive and finite"), -1;
  double log_p = -0.5 * mu * mu / 25 - sigma, dmu = -mu / 25, dlog = -sigma;
  for (int i = 0; i < m->n; i++) {
    double z = (m->y[i] - mu) / sigma;
    log_p += -0.5 * z * z - u[1];
    dmu += z / sigma;
    dlog += z * z - 1;
  }
  *value = log_p + (jacobian ? u[1] : 0);
  if (grad) grad[0] = dmu, grad[1] = dlog + (jacobian ? 1 : 0);
  return 0;
}

int bs_log_density(const bs_model *m, bool propto, bool jacobian, const double *u, double *value, char **message) {
  return bs_log_density_gradient(m, propto, jacobian, u, value, NULL, message);
}
