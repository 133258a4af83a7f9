//! (c): how fast Var_m(l) falls near q = p for a fixed m, on chains of cells, and by how little m can change that.

use crate::num::{GaussLegendre, exp, ln, ln_1p, powf};
use crate::rng::{Purpose, Stream, stream, uniform};
use crate::verify::chain::Chain;
use crate::verify::{Budget, Comparison, Ladder, Outcome, Size};

const CELLS: usize = 12;

/// The flow of Var_m(l): p_i du_i/dt = Σ_j c_ij ½(u_i + u_j)(φ_j - φ_i), φ = -2(m/q)δ, u = q/p = 1 + v. A state is v.
struct Flow<'a> {
    chain: &'a Chain,
    /// m of each cell, sum 1.
    m: Vec<f64>,
}

impl<'a> Flow<'a> {
    /// m ∝ p·weight.
    fn new(chain: &'a Chain, weight: impl Fn(usize) -> f64) -> Self {
        let total = chain.mean(&weight);
        Self { chain, m: (0..chain.p.len()).map(|i| chain.p[i] * weight(i) / total).collect() }
    }

    /// p/m.
    fn inverse(&self, i: usize) -> f64 {
        self.chain.p[i] / self.m[i]
    }

    /// κ(m), and the k that attains it.
    fn slowest(&self) -> (f64, Vec<f64>) {
        let (energy, k) = self.chain.slowest(|i| self.inverse(i));
        (2.0 * energy, k)
    }

    /// δ = l - E_m l.
    fn delta(&self, v: &[f64]) -> Vec<f64> {
        let l: Vec<f64> = v.iter().map(|v| -ln_1p(*v)).collect();
        let mean: f64 = l.iter().zip(&self.m).map(|(l, m)| l * m).sum();
        l.iter().map(|l| l - mean).collect()
    }

    fn variance(&self, v: &[f64]) -> f64 {
        self.delta(v).iter().zip(&self.m).map(|(d, m)| m * d * d).sum()
    }

    fn rate(&self, v: &[f64]) -> Vec<f64> {
        let delta = self.delta(v);
        let phi: Vec<f64> = (0..v.len()).map(|i| -2.0 * delta[i] / (self.inverse(i) * (1.0 + v[i]))).collect();
        let mut rate = vec![0.0; v.len()];
        for (i, c) in self.chain.conductance.iter().enumerate() {
            let flux = c * (1.0 + 0.5 * (v[i] + v[i + 1])) * (phi[i + 1] - phi[i]);
            rate[i] += flux / self.chain.p[i];
            rate[i + 1] -= flux / self.chain.p[i + 1];
        }
        rate
    }

    /// v at the time, by the classical Runge–Kutta method in steps of half the shortest time of the linear flow.
    fn after(&self, mut v: Vec<f64>, time: f64) -> Vec<f64> {
        let c = &self.chain.conductance;
        let both = |i: usize| c.get(i).unwrap_or(&0.0) + if i > 0 { c[i - 1] } else { 0.0 };
        let fastest = (0..v.len()).map(|i| 4.0 * both(i) / self.chain.p[i] / self.inverse(i)).fold(0.0, f64::max);
        let steps = (2.0 * time * fastest).ceil();
        let h = time / steps;
        for _ in 0..steps as usize {
            let ahead = |k: &[f64], h: f64| -> Vec<f64> { v.iter().zip(k).map(|(v, k)| v + h * k).collect() };
            let a = self.rate(&v);
            let b = self.rate(&ahead(&a, 0.5 * h));
            let c = self.rate(&ahead(&b, 0.5 * h));
            let d = self.rate(&ahead(&c, h));
            v.iter_mut().enumerate().for_each(|(i, v)| *v += h / 6.0 * (a[i] + 2.0 * b[i] + 2.0 * c[i] + d[i]));
        }
        v
    }

    /// log(Var_m(l) at the start over that at the time)/time.
    fn decay(&self, v: &[f64], time: f64) -> f64 {
        ln(self.variance(v) / self.variance(&self.after(v.to_vec(), time))) / time
    }
}

/// 2 E_p|∇K|²/(E_p|K|)² of a vector of functions.
fn bound(chain: &Chain, fields: &[Vec<f64>]) -> f64 {
    let length = |i: usize| fields.iter().map(|k| k[i] * k[i]).sum::<f64>().sqrt();
    2.0 * fields.iter().map(|k| chain.energy(k)).sum::<f64>() / chain.mean(length).powi(2)
}

/// A function with E_p k = 0 around `start`.
fn centred(chain: &Chain, rng: &mut Stream, start: &[f64], noise: f64) -> Vec<f64> {
    let raw: Vec<f64> = start.iter().map(|k| k + noise * (uniform(rng) - 0.5)).collect();
    let mean = chain.mean(|i| raw[i]);
    raw.iter().map(|k| k - mean).collect()
}

/// On random chains: decay from the slowest mode and from any start, and the bound.
pub(super) fn chains(budget: &Budget) -> Outcome {
    let mut rng = stream(budget.seed, Purpose::Check, 19_000);
    let mut out = Outcome::default();
    for draw in 0..if budget.size == Size::Quick { 3 } else { 30 } {
        let chain = Chain::random(&mut rng, CELLS);
        let weight: Vec<f64> = (0..CELLS).map(|_| 0.3 * powf(10.0, uniform(&mut rng))).collect();
        let flow = Flow::new(&chain, |i| weight[i]);
        let (kappa, k) = flow.slowest();
        let slow: Vec<f64> = (0..CELLS).map(|i| flow.inverse(i) * k[i]).collect();
        let name = |what: &str| format!("chain {draw}, {what}");
        let size = slow.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let time = 0.5 / kappa;
        let ladder = Ladder::quotients(0.1 / size, 2.0, |amplitude| {
            let side = |sign: f64| flow.decay(&slow.iter().map(|g| sign * amplitude * g).collect::<Vec<_>>(), time);
            // some hundred steps, each with its rounding
            vec![(0.5 * (side(1.0) + side(-1.0)), 30.0 / time)]
        });
        let against =
            |rate: f64| Comparison::of_ladder(name("decay from the slowest mode"), &ladder[0], rate, rate, 1e-8);
        out.comparisons.push(against(2.0 * kappa));
        let (own, mode) = chain.gap();
        out.mutants.push(("every m has the rate of m = p", against(4.0 * own).unless_true(2.0 * kappa)));
        out.mutants.push(("Var_m(l) falls at κ", against(kappa)));
        // at an amplitude of 1e-5 the flow is linear to that much
        let start = centred(&chain, &mut rng, &[0.0; CELLS], 2e-5);
        let faster = flow.decay(&start, time) >= 2.0 * kappa * (1.0 - 1e-3);
        out.comparisons.push(Comparison::decision(name("decay from a random start"), faster));
        for noise in [0.0, 0.3, 3.0] {
            let fields = [&mode, &k].map(|k| centred(&chain, &mut rng, k, noise));
            let both = bound(&chain, &fields);
            let least = fields.iter().map(|k| bound(&chain, std::slice::from_ref(k))).fold(both, f64::min);
            let held = kappa <= least * (1.0 + 1e-12);
            out.comparisons.push(Comparison::decision(name(&format!("bound by K, noise {noise}")), held));
        }
    }
    out
}

/// The page's figures: N(0, 1), two wells, and N(0, I_d).
pub(super) fn figures() -> Outcome {
    let mut out = Outcome::default();
    let mut printed = |what: &str, value: f64, figure: f64, digit: f64| {
        out.comparisons.push(Comparison::exact(what.to_owned(), value, figure, 1.0, 0.6 * digit));
    };
    let rule = GaussLegendre::new(16);
    let mills = |x: f64| rule.integrate(0.0, 40.0, 40, |s| exp(-s * x - 0.5 * s * s));
    let normal = |x: f64| exp(-0.5 * x * x) / std::f64::consts::TAU.sqrt();
    let a = 2.0 * rule.integrate(0.0, 12.0, 12, |x| normal(x) * mills(x).powi(2));
    printed("A of N(0, 1)", a, std::f64::consts::LN_2, 1e-10);

    let chain = Chain::gaussian(0.02, 7.0);
    let (n, middle) = (chain.p.len(), chain.p.len() / 2);
    // K: 0 in the middle, and the mass beyond each face flows through it
    let mut k = vec![0.0; n];
    let mut beyond = 0.5 * (1.0 - chain.p[middle]);
    for i in middle..n - 1 {
        k[i + 1] = k[i] + beyond / chain.conductance[i];
        k[n - 2 - i] = -k[i + 1];
        beyond -= chain.p[i + 1];
    }
    let own = 2.0 * chain.gap().0;
    printed("κ(p) of N(0, 1)", own, 2.0, 1e-3);
    printed("bound of N(0, 1)", bound(&chain, std::slice::from_ref(&k)) / own, 1.0 / std::f64::consts::LN_2, 1e-3);
    let ratio = |width: f64| Flow::new(&chain, |i| (k[i] * k[i] + width * width).sqrt()).slowest().0 / own;
    printed("m ∝ p√(K² + 10⁻²)", ratio(0.1), 1.436, 1e-3);

    let wells = |distance: f64| {
        let density = |x: f64| normal(x - 0.5 * distance) + normal(x + 0.5 * distance);
        let chain = Chain::cells(density, 0.02, 7.0 + 0.5 * distance);
        let mode = chain.gap().1;
        chain.mean(|i| mode[i].abs()).powi(-2)
    };
    printed("wells at distance 3", wells(3.0), 1.169, 1e-3);
    printed("wells at distance 6", wells(6.0), 1.0040, 1e-4);

    for (d, figure) in [(1.0, 1.571), (2.0, 1.273), (3.0, 1.178), (10.0, 1.051), (100.0, 1.005)] {
        // ∫ r^(d-1+j) e^(-r²/2), over its value at r² = d
        let moment = |j: i32| {
            let at = |r: f64| (d - 1.0) * ln(r * r / d) * 0.5 - 0.5 * (r * r - d);
            rule.integrate(0.0, 30.0, 120, |r| exp(at(r)) * r.powi(j))
        };
        let mean = moment(1) / moment(0);
        printed(&format!("N(0, I), d = {d}"), d / (mean * mean), figure, 1e-3);
    }
    out.mutants = vec![
        ("no m is faster than m = p", Comparison::decision("m ∝ p√(K² + 10⁻²)", ratio(0.1) <= 1.0)),
        ("the nearer m to p|K|, the nearer κ to the bound", Comparison::decision("10⁻⁶", ratio(1e-3) >= ratio(0.1))),
    ];
    out
}

/// K = 1 + x/100 on N(0, 1), whose mean is not 0: the bound of (c) is far below κ(p) = 2.
pub(super) fn uncentred() -> Comparison {
    let (width, reach) = (0.1, 7.0);
    let chain = Chain::gaussian(width, reach);
    let k = (0..chain.p.len()).map(|i| 1.0 + 0.01 * (width * i as f64 - reach)).collect();
    Comparison::at_most(
        "N(0, 1), K = 1 + x/100: κ(p) and its bound",
        2.0 * chain.gap().0,
        bound(&chain, &[k]),
        1.0,
        1e-9,
    )
}
