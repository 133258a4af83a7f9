/* BridgeStan's C interface around a log-likelihood of a series y whose state runs along it, with derivatives in forward mode: each number
 * carries its own by the D unconstrained coordinates. The file that includes this defines D, NAMES and KINDS first, a letter for each
 * parameter: r real, p positive, u between 0 and 1, o above the one before, s between 0 and 1 less the one before, which is a u; and then
 * `log_density`, of the constrained parameters. What is returned beside it is the Jacobian of the transforms. normal.c says more about the
 * interface. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bs_model {
  int n;
  double y[1000];
} bs_model;

typedef struct dual {
  double v, d[D];
} dual;

static dual log_density(const double *y, int n, const dual *x);

static dual of(double v, dual a, double da, dual b, double db) {
  dual out = {.v = v};
  for (int k = 0; k < D; k++) out.d[k] = da * a.d[k] + db * b.d[k];
  return out;
}
static inline dual add(dual a, dual b) { return of(a.v + b.v, a, 1, b, 1); }
static inline dual mul(dual a, dual b) { return of(a.v * b.v, a, b.v, b, a.v); }
static inline dual linear(double c, dual a, double s) { return of(c + s * a.v, a, s, a, 0); }
static inline dual logarithm(dual a) { return of(log(a.v), a, 1 / a.v, a, 0); }
static inline dual log_sum(dual a, dual b) {
  double top = fmax(a.v, b.v), p = exp(a.v - top), q = exp(b.v - top);
  return of(top + log(p + q), a, p / (p + q), b, q / (p + q));
}
/* log N(e; 0, s²), up to a constant */
static inline dual log_normal(dual e, dual s) {
  double z = e.v / s.v;
  return of(-0.5 * z * z - log(s.v), e, -z / s.v, s, (z * z - 1) / s.v);
}

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
const char *bs_param_names(const bs_model *m, bool tp, bool gq) { return (void)m, (void)tp, (void)gq, NAMES; }
int bs_param_unc_num(const bs_model *m) { return (void)m, D; }

/* Constrained parameters, and log of the Jacobian. */
static dual constrain(const double *u, dual *x) {
  dual jacobian = {0};
  for (int k = 0; k < D; k++) {
    dual a = {.v = u[k]};
    a.d[k] = 1;
    double p = 1 / (1 + exp(-u[k])), q = 1 / (1 + exp(u[k]));
    switch (KINDS[k]) {
    case 'r': x[k] = a; break;
    case 'u':
    case 's':
      x[k] = of(p, a, p * q, a, 0);
      jacobian = of(jacobian.v - fabs(u[k]) - 2 * log1p(exp(-fabs(u[k]))), jacobian, 1, a, q - p);
      if (KINDS[k] == 's') { /* of what the one before leaves, 1/(1 + exp(u)), whose logarithm has the slope -x */
        dual rest = {.v = -fmax(u[k - 1], 0) - log1p(exp(-fabs(u[k - 1])))};
        rest.d[k - 1] = -x[k - 1].v;
        x[k] = mul(x[k], linear(1, x[k - 1], -1));
        jacobian = add(jacobian, rest);
      }
      break;
    default:
      x[k] = of(exp(u[k]), a, exp(u[k]), a, 0);
      if (KINDS[k] == 'o') x[k] = add(x[k], x[k - 1]);
      jacobian = add(jacobian, a);
    }
  }
  return jacobian;
}

int bs_param_constrain(const bs_model *m, bool tp, bool gq, const double *u, double *x, void *rng, char **message) {
  (void)m, (void)tp, (void)gq, (void)rng, (void)message;
  dual all[D];
  constrain(u, all);
  for (int k = 0; k < D; k++) x[k] = all[k].v;
  return 0;
}

int bs_param_unconstrain(const bs_model *m, const double *x, double *u, char **message) {
  (void)m;
  for (int k = 0; k < D; k++) {
    double a = KINDS[k] == 'o' ? x[k] - x[k - 1] : x[k], top = KINDS[k] == 's' ? 1 - x[k - 1] : 1;
    u[k] = KINDS[k] == 'r' ? a : KINDS[k] == 'u' || KINDS[k] == 's' ? log(a / (top - a)) : log(a);
    if (!isfinite(u[k])) return say(message, "a parameter lies outside of its support"), -1;
  }
  return 0;
}

int bs_log_density_gradient(const bs_model *m, bool propto, bool jacobian, const double *u, double *value, double *grad,
                            char **message) {
  (void)propto;
  dual x[D], scale = constrain(u, x), log_p = log_density(m->y, m->n, x);
  if (jacobian) log_p = add(log_p, scale);
  if (!isfinite(log_p.v)) return say(message, "log p is not finite"), -1;
  *value = log_p.v;
  if (grad) memcpy(grad, log_p.d, sizeof log_p.d);
  return 0;
}

int bs_log_density(const bs_model *m, bool propto, bool jacobian, const double *u, double *value, char **message) {
  return bs_log_density_gradient(m, propto, jacobian, u, value, NULL, message);
}
