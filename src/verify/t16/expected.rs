//! (c) and (d): the divergence of the estimate in the mean, F_N = E D_f(p_h‖q̂): its fall, excess and gradient, and its bound for reverse KL.

use crate::density::{Density, GaussianMixture};
use crate::divergence::Divergence;
use crate::linalg::Matrix;
use crate::num::{exp, ln, ln_1p};
use crate::velocity::{LogRatioClip, drift_into};
use crate::verify::hypothesis::{integral, normal, settles};
use crate::verify::integrability::Exponents;
use crate::verify::t16::{
    BANDWIDTH, Law, MANY, MASSES, PLACES, SIZES, TWO, binomial, blurred, estimate, kernels_at, relative_variance,
    samples, second_order, shipped, smoothed,
};
use crate::verify::{Comparison, Grid, Ladder, Outcome, Pair};

/// p_h = ½ N(-0.6, h²) + ½ N(1, h²) on a grid that holds f(p_h/q̂) q̂ for every sample.
struct Target {
    grid: Grid,
    log_p: Vec<f64>,
    score_p: Matrix,
}

impl Target {
    /// The reason where f leaves double precision, or its integrals reach too far.
    fn new(f: &dyn Divergence) -> Result<Self, String> {
        let p = [[0.5, -0.6, BANDWIDTH], [0.5, 1.0, BANDWIDTH]];
        // a sample of one atom is the farthest from p
        let alone = PLACES.map(|x| Pair::on_the_line(&p, &[[1.0, x, BANDWIDTH]]));
        let ends = alone.each_ref().map(|pair| pair.ends_of_powers(Exponents::span(f), 8.0)[0]);
        let (low, high) = ends.iter().fold((0.0f64, 0.0f64), |m, e| (m.0.min(e.0), m.1.max(e.1)));
        let grid = Grid::affordable(&[(low, high)], BANDWIDTH / 8.0)?;
        let steepest =
            alone.iter().flat_map(|pair| pair.at(&grid.nodes).log_ratio()).fold(0.0f64, |m, l| m.max(l.abs()));
        let (first, last) = Exponents::span(f);
        if steepest * last.max(1.0 - first) > 300.0 {
            return Err("f(p/q̂) leaves double precision where a cloud of one place is far from p".into());
        }
        let at = alone[0].at(&grid.nodes);
        Ok(Self { grid, log_p: at.log_p, score_p: at.score_p })
    }

    /// φ_h(y - a_k) at the nodes.
    fn kernels(&self, places: &[f64; 3]) -> Vec<[f64; 3]> {
        self.grid.nodes.iter_rows().map(|y| kernels_at(places, y[0])).collect()
    }

    /// (D_f(p_h‖Σ m_k φ_h(· - a_k)), the size of its terms).
    fn value(&self, f: &dyn Divergence, masses: &[f64; 3], kernels: &[[f64; 3]]) -> (f64, f64) {
        self.grid.integrate_with_size(|i| {
            let q: f64 = masses.iter().zip(kernels[i]).map(|(m, k)| m * k).sum();
            q * f.f(self.log_p[i] - ln(q))
        })
    }

    /// ∫ φ_h(y - a) V̂(y) dy with the shipped field of q̂, whose logarithm and score at the nodes are given.
    fn drift(&self, f: &dyn Divergence, log_q: &[f64], score_q: &Matrix, a: f64) -> f64 {
        let l: Vec<f64> = self.log_p.iter().zip(log_q).map(|(p, q)| p - q).collect();
        let mut v: Matrix = Matrix::zeros(l.len(), 1);
        let mut beta = self.score_p.clone();
        beta.add_scaled(-1.0, score_q);
        drift_into(f, LogRatioClip::NONE, &l, &beta, &mut v);
        self.grid.integrate(|i| normal((self.grid.nodes[(i, 0)] - a) / BANDWIDTH) / BANDWIDTH * v[(i, 0)])
    }

    /// The same for the shipped estimate from a sample.
    fn drift_of(&self, f: &dyn Divergence, counts: &[usize; 3], a: f64) -> f64 {
        let values = shipped(counts).evaluate(&self.grid.nodes);
        self.drift(f, &values.log_density, &values.score, a)
    }
}

/// (c): F_N falls in N towards D_f(p_h‖q_h), for an urn too, is higher by ½E_{q_h}[w τ_N] + O(N⁻²), and has the gradient of the page.
pub(super) fn divergence(f: &dyn Divergence) -> Outcome {
    let mut out = Outcome::default();
    let name = |what: &str| format!("{}, E D_f(p_h‖q̂), {what}", f.name());
    let target = match Target::new(f) {
        Ok(target) => target,
        Err(reason) => {
            out.comparisons.push(Comparison::refused(name("all"), reason));
            return out;
        }
    };
    let kernels = target.kernels(&PLACES);
    let value = |masses: &[f64; 3]| target.value(f, masses, &kernels).0;
    let mut left = [0.0; 2];
    for (left, law) in left.iter_mut().zip([Law::Independent, Law::Urn]) {
        let mean = |n: usize| -> f64 {
            let each = |(counts, p): &([usize; 3], f64)| p * value(&counts.map(|c| c as f64 / n as f64));
            samples(law, n).iter().map(each).sum()
        };
        let means = SIZES.map(mean);
        let falls = means.windows(2).all(|m| m[1] < m[0]) && means[SIZES.len() - 1] > value(&MASSES);
        out.comparisons.push(Comparison::decision(name(&format!("{law:?}, falls")), falls));
        *left = mean(40) - value(&MASSES);
        if law == Law::Independent {
            // 12/40 of the excess is left where it falls like 1/N
            let before = means[SIZES.len() - 1] - value(&MASSES);
            out.comparisons.push(Comparison::at_most(
                name("excess at 40 against 12"),
                *left,
                0.5 * before,
                before,
                0.0,
            ));
        }
    }
    let [independent, urn] = left;
    let gone = Comparison::at_most(name("an urn's excess at 40"), urn, 2.0 * independent, urn, 0.0);
    out.mutants.push(("an urn's F_N falls to D_f(p_h‖q_h) too", gone));
    let limit = value(&TWO);
    let excess = MANY.map(|n| binomial(n).iter().map(|(shares, p)| p * value(shares)).sum::<f64>() - limit);
    let grid = &target.grid;
    let leading = grid.integrate(|i| {
        let y = grid.nodes[(i, 0)];
        let q = blurred(&TWO, y).0;
        0.5 * q * f.weight(target.log_p[i] - ln(q)) * relative_variance(&TWO, y).0
    });
    let rest = |share: f64| std::array::from_fn(|k| excess[k] - share * leading / MANY[k] as f64);
    out.comparisons.push(second_order(name("the excess"), rest(1.0), limit));
    let wrong = second_order(name("the excess"), rest(2.0), limit);
    out.mutants.push(("F_N above its limit by E_{q_h}[w τ_N]", wrong));
    for n in [1, 2, 5] {
        gradient(f, &target, n, &mut out);
    }
    out
}

/// The atom whose place is moved.
const MOVED: usize = 2;

/// (c): where the place a of an atom of mass m moves, dF_N/da = -m v(a), v(x) = E[V̂(X_I + hε) | X_I = x], order 2.
fn gradient(f: &dyn Divergence, target: &Target, n: usize, out: &mut Outcome) {
    let (a, mass) = (PLACES[MOVED], MASSES[MOVED]);
    let ladder = Ladder::central(0.1, |step| {
        let mut places = PLACES;
        places[MOVED] += step;
        let kernels = target.kernels(&places);
        let term = |(counts, p): &([usize; 3], f64)| {
            let (value, size) = target.value(f, &counts.map(|c| c as f64 / n as f64), &kernels);
            (p * value, p * size)
        };
        let terms: Vec<(f64, f64)> = samples(Law::Independent, n).iter().map(term).collect();
        vec![terms.iter().fold((0.0, 0.0), |sum, t| (sum.0 + t.0, sum.1 + t.1))]
    })
    .swap_remove(0);
    // given that one particle is there the others are independent draws
    let mut with = [0.0; 2];
    for (mut counts, p) in samples(Law::Independent, n - 1) {
        counts[MOVED] += 1;
        let term = -mass * p * target.drift_of(f, &counts, a);
        with = [with[0] + term, with[1] + term.abs()];
    }
    let [right, size] = with;
    let name = format!("{}, N = {n}, gradient of E D_f(p_h‖q̂)", f.name());
    let against = |right: f64| Comparison::of_ladder(name.clone(), &ladder, right, size, 1e-7);
    out.comparisons.push(against(right));
    let apart = |(counts, p): &([usize; 3], f64)| -mass * p * target.drift_of(f, counts, a);
    let apart: f64 = samples(Law::Independent, n).iter().map(apart).sum();
    out.mutants.push(("the cloud does not contain the particle that it moves", against(apart).unless_true(right)));
    let nodes = target.grid.nodes.iter_rows().map(|y| blurred(&MASSES, y[0]));
    let (log_q, score): (Vec<f64>, Vec<f64>) = nodes.map(|(q, slope)| (ln(q), slope / q)).unzip();
    let score = Matrix::from_vec(score.len(), 1, score);
    let unbiased = -mass * target.drift(f, &log_q, &score, a);
    out.mutants.push(("a particle's mean drift is V_h", against(unbiased).unless_true(right)));
}

/// E_{q_h} τ_1 of the three atoms, on this grid.
fn mean_tau(grid: &Grid, masses: &[f64; 3]) -> f64 {
    grid.integrate(|i| {
        let y = grid.nodes[(i, 0)];
        blurred(masses, y).0 * relative_variance(masses, y).0
    })
}

/// (d): 0 ≤ E KL(q̂‖p_h) - KL(q_h‖p_h) = E KL(q̂‖q_h) ≤ log(1 + E_{q_h} τ_N) ≤ E_{q_h} τ_N at every N, it falls in N (c), and N times it
/// tends to ½ E_{q_h} τ_1.
pub(super) fn bound() -> Outcome {
    // the integrands vanish at both ends, so that the trapezoidal rule is exact to rounding
    let grid = Grid::covering(&[(-5.0, 5.5)], 0.01);
    let relative = |value: f64, at: f64| if value > 0.0 { value * ln(value / at) } else { 0.0 };
    let excess = |n: usize| -> f64 {
        let one = |(counts, p): &([usize; 3], f64)| {
            p * grid.integrate(|i| relative(estimate(counts, grid.nodes[(i, 0)]), smoothed(grid.nodes[(i, 0)])))
        };
        samples(Law::Independent, n).iter().map(one).sum()
    };
    let mut out = Outcome::default();
    let (mut last, mean) = (f64::INFINITY, mean_tau(&grid, &MASSES));
    for n in SIZES {
        let (found, bound) = (excess(n), mean / n as f64);
        let within = found >= 0.0 && found <= ln_1p(bound) && ln_1p(bound) <= bound;
        out.comparisons.push(Comparison::decision(format!("N = {n}, bound of the excess"), within));
        out.comparisons.push(Comparison::decision(format!("N = {n}, the excess falls"), found < last));
        out.mutants.push((
            "the excess below ½ log(1 + E τ)",
            Comparison::decision(format!("N = {n}"), found < 0.25 * ln_1p(bound)),
        ));
        last = found;
    }
    // N times the excess is L + c/N + O(N⁻²): two N give L to 1e-6
    let times = MANY.map(|n| {
        let one = |(shares, p): &([f64; 3], f64)| {
            p * grid.integrate(|i| {
                let y = grid.nodes[(i, 0)];
                relative(blurred(shares, y).0, blurred(&TWO, y).0)
            })
        };
        n as f64 * binomial(n).iter().map(one).sum::<f64>()
    });
    let ratio = MANY[1] as f64 / MANY[0] as f64;
    let limit = (ratio * times[1] - times[0]) / (ratio - 1.0);
    let right = mean_tau(&grid, &TWO);
    let against = |right: f64| Comparison::exact("N(F_N - KL(q_h‖p_h)), N → ∞", limit, right, right, 1e-5);
    out.comparisons.push(against(0.5 * right));
    out.mutants.push(("the bound E τ_N is reached as N → ∞", against(right)));
    out
}

/// (d): N E_{q_h} τ_N = (1 + v/h²)^d - 1 for q = N(0, vI), through the shipped blur of q: φ_h² = (4πh²)^(-d/2) φ_{h/√2}.
pub(super) fn gaussians() -> Outcome {
    let mut out = Outcome::default();
    for (v, h, d) in [(1.0, 1.0, 1), (1.0, 0.5, 1), (1.0, 0.5, 2), (0.6, 0.8, 2)] {
        let q = GaussianMixture::isotropic(&[1.0], Matrix::zeros(1, d), f64::sqrt(v)).expect("a positive deviation");
        let blur = |h: f64| q.smoothed(h).expect("a closed form");
        // (φ_h² * q)/q_h has this standard deviation
        let width = (2.0 * (v + 0.5 * h * h) * (v + h * h)).sqrt() / h;
        let grid = Grid::covering(&vec![(-9.0 * width, 9.0 * width); d], width / 5.0);
        let (square, q_h) = (blur(h / 2f64.sqrt()), blur(h));
        let (square, q_h) = (square.log_density(&grid.nodes), q_h.log_density(&grid.nodes));
        let constant = -0.5 * d as f64 * ln(4.0 * std::f64::consts::PI * h * h);
        let left = grid.integrate(|i| exp(constant + square[i] - q_h[i])) - 1.0;
        let each = v / (h * h);
        let right = (1.0 + each).powi(d as i32) - 1.0;
        let against = |right: f64| {
            Comparison::exact(format!("N(0, {v} I), h = {h}, d = {d}: N E τ_N"), left, right, 1.0 + right, 1e-10)
        };
        out.comparisons.push(against(right));
        let linear = d as f64 * each;
        out.mutants.push(("E τ_N grows like the dimension", against(linear).unless_true(right)));
    }
    out
}

/// Laplace's q, whose logarithm is Lipschitz: E_{q_h} τ_1 is infinite, and (d) bounds nothing.
pub(super) fn laplace() -> Comparison {
    let (h, q) = (BANDWIDTH, |x: f64| 0.5 * exp(-x.abs()));
    // the two sides of the corner of q
    let blur = |y: f64, h: f64| {
        let kernel = |x: f64| normal((y - x) / h) / h * q(x);
        let (low, high) = (y - 9.0 * h, y + 9.0 * h);
        integral(low, low.max(high.min(0.0)), kernel) + integral(low.max(high.min(0.0)), high, kernel)
    };
    let constant = 0.5 / (std::f64::consts::PI.sqrt() * h);
    settles("Laplace's q, h = ½: E τ_1 + 1", 10.0, |radius| {
        integral(-radius, radius, |y| constant * blur(y, h / 2f64.sqrt()) / blur(y, h))
    })
}
