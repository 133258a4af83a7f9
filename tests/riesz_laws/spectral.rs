//! A pseudo-spectral solver of ∂ρ/∂t = div(ρ K*(∇ρ - ρ ∇ log p)) on the unit torus: independent of the library.

use std::f64::consts::TAU;

type C = [f64; 2];

fn times(a: C, b: C) -> C {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

/// Σ_j a_j e^{sign i 2π jk/n}, n a power of two, in place.
fn fft(a: &mut [C], sign: f64) {
    let n = a.len();
    let root = |k: usize| (sign * TAU * k as f64 / n as f64).sin_cos();
    let roots: Vec<C> = (0..n / 2).map(|k| [root(k).1, root(k).0]).collect();
    halves(a, &roots, 1);
}

/// The same with the roots of unity of `stride` times the length.
fn halves(a: &mut [C], roots: &[C], stride: usize) {
    let n = a.len();
    if n == 1 {
        return;
    }
    let mut even: Vec<C> = a.iter().step_by(2).copied().collect();
    let mut odd: Vec<C> = a.iter().skip(1).step_by(2).copied().collect();
    halves(&mut even, roots, 2 * stride);
    halves(&mut odd, roots, 2 * stride);
    for k in 0..n / 2 {
        let t = times(roots[k * stride], odd[k]);
        a[k] = [even[k][0] + t[0], even[k][1] + t[1]];
        a[k + n / 2] = [even[k][0] - t[0], even[k][1] - t[1]];
    }
}

/// The whole number that index k of n stands for; 0 for those beyond two thirds (dealiasing).
fn frequency(k: usize, n: usize) -> f64 {
    let m = if k <= n / 2 { k as i64 } else { k as i64 - n as i64 };
    if 3 * m.unsigned_abs() as usize > n { 0.0 } else { m as f64 }
}

/// Densities on the unit circle, by their values on a grid.
pub struct Circle {
    n: usize,
    order: f64,
    /// The normalised target, and its logarithm's derivative.
    target: Vec<f64>,
    slope: Vec<f64>,
}

impl Circle {
    pub fn new(n: usize, order: f64, target: impl Fn(f64) -> f64) -> Self {
        let raw: Vec<f64> = (0..n).map(|i| target(i as f64 / n as f64)).collect();
        let z = raw.iter().sum::<f64>() / n as f64;
        let mut out = Self { n, order, target: raw.iter().map(|r| r / z).collect(), slope: Vec::new() };
        let logs: Vec<f64> = out.target.iter().map(|p| p.ln()).collect();
        out.slope = out.filtered(&logs, |m, c| [-TAU * m * c[1], TAU * m * c[0]]);
        out
    }

    /// Values whose mean is 1.
    pub fn sampled(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        (0..self.n).map(|i| f(i as f64 / self.n as f64)).collect()
    }

    /// p (1 + factor h), normalised.
    pub fn scaled(&self, h: &[f64], factor: f64) -> Vec<f64> {
        let raw: Vec<f64> = self.target.iter().zip(h).map(|(p, h)| p * (1.0 + factor * h)).collect();
        let z = raw.iter().sum::<f64>() / self.n as f64;
        raw.iter().map(|r| r / z).collect()
    }

    fn filtered(&self, u: &[f64], f: impl Fn(f64, C) -> C) -> Vec<f64> {
        let mut a: Vec<C> = u.iter().map(|u| [u / self.n as f64, 0.0]).collect();
        fft(&mut a, -1.0);
        for (k, a) in a.iter_mut().enumerate() {
            *a = f(frequency(k, self.n), *a);
        }
        fft(&mut a, 1.0);
        a.iter().map(|a| a[0]).collect()
    }

    fn flux(&self, rho: &[f64]) -> Vec<f64> {
        let d = self.filtered(rho, |m, c| [-TAU * m * c[1], TAU * m * c[0]]);
        (0..self.n).map(|i| d[i] - rho[i] * self.slope[i]).collect()
    }

    fn rate(&self, rho: &[f64]) -> Vec<f64> {
        let kernel = |m: f64| if m == 0.0 { 0.0 } else { (TAU * m.abs()).powf(-2.0 * self.order) };
        let pull = self.filtered(&self.flux(rho), |m, c| [kernel(m) * c[0], kernel(m) * c[1]]);
        let product: Vec<f64> = rho.iter().zip(&pull).map(|(r, v)| r * v).collect();
        self.filtered(&product, |m, c| [-TAU * m * c[1], TAU * m * c[0]])
    }

    /// After `steps` steps of Runge–Kutta's method.
    pub fn run(&self, rho: &[f64], h: f64, steps: usize) -> Vec<f64> {
        let plus = |r: &[f64], h: f64, k: &[f64]| r.iter().zip(k).map(|(r, k)| r + h * k).collect::<Vec<f64>>();
        let mut rho = rho.to_vec();
        for _ in 0..steps {
            let k1 = self.rate(&rho);
            let k2 = self.rate(&plus(&rho, 0.5 * h, &k1));
            let k3 = self.rate(&plus(&rho, 0.5 * h, &k2));
            let k4 = self.rate(&plus(&rho, h, &k3));
            for i in 0..self.n {
                rho[i] += h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]);
            }
        }
        rho
    }

    /// The longest step that transport allows: 1.5/(2π (n/3) max|v|).
    pub fn longest_step(&self, rho: &[f64]) -> f64 {
        let kernel = |m: f64| if m == 0.0 { 0.0 } else { (TAU * m.abs()).powf(-2.0 * self.order) };
        let pull = self.filtered(&self.flux(rho), |m, c| [kernel(m) * c[0], kernel(m) * c[1]]);
        let largest = pull.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        1.5 / (TAU * self.n as f64 / 3.0 * largest)
    }

    /// KL(ρ‖p) by the trapezoid rule.
    pub fn kl(&self, rho: &[f64]) -> f64 {
        let one = |(r, p): (&f64, &f64)| match r / p - 1.0 {
            // the difference of nearly equal numbers, by its series
            u if u.abs() < 1e-3 => p * u * u * (0.5 - u / 6.0 + u * u / 12.0 - u * u * u / 20.0),
            u => p * ((1.0 + u) * u.ln_1p() - u),
        };
        rho.iter().zip(&self.target).map(one).sum::<f64>() / self.n as f64
    }

    /// ‖ρ - p‖ in L².
    pub fn distance(&self, rho: &[f64]) -> f64 {
        (rho.iter().zip(&self.target).map(|(r, p)| (r - p) * (r - p)).sum::<f64>() / self.n as f64).sqrt()
    }

    /// ‖∇ρ - ρ ∇ log p‖² in H^{-s}.
    pub fn discrepancy(&self, rho: &[f64]) -> f64 {
        let flux = self.flux(rho);
        (1..self.n / 3)
            .map(|m| {
                let [re, im] = self.coefficient(&flux, m);
                2.0 * (TAU * m as f64).powf(-2.0 * self.order) * (re * re + im * im)
            })
            .sum()
    }

    /// ∫ u e^{-i2πmx}.
    pub fn coefficient(&self, u: &[f64], m: usize) -> C {
        let mut sum = [0.0; 2];
        for (i, u) in u.iter().enumerate() {
            let (s, c) = (TAU * ((m * i) % self.n) as f64 / self.n as f64).sin_cos();
            sum = [sum[0] + u * c / self.n as f64, sum[1] - u * s / self.n as f64];
        }
        sum
    }

    /// min p.
    pub fn least(&self) -> f64 {
        self.target.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Densities on the unit torus in two dimensions under the uniform target.
pub struct Plane {
    n: usize,
    order: f64,
}

impl Plane {
    pub fn new(n: usize, order: f64) -> Self {
        Self { n, order }
    }

    pub fn sampled(&self, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let at = |i: usize| i as f64 / self.n as f64;
        (0..self.n * self.n).map(|k| f(at(k / self.n), at(k % self.n))).collect()
    }

    /// 1 + h with |ĥ(n)| ∝ |n|^{-a} up to two thirds of the grid, random phases, and max|h| = `size`.
    pub fn rough(&self, a: f64, size: f64, phase: impl Fn(usize) -> f64) -> Vec<f64> {
        let n = self.n;
        let wave = |k: usize| [frequency(k / n, n), frequency(k % n, n)];
        let mut h: Vec<C> = vec![[0.0; 2]; n * n];
        for k in 1..n * n {
            let ([i, j], other) = (wave(k), ((n - k / n) % n) * n + (n - k % n) % n);
            if i.hypot(j) > 0.0 && (k / n == 0 || i != 0.0) && (k % n == 0 || j != 0.0) && k < other {
                let (sin, cos) = phase(k).sin_cos();
                let height = i.hypot(j).powf(-a);
                (h[k], h[other]) = ([height * cos, height * sin], [height * cos, -height * sin]);
            }
        }
        self.transform(&mut h, 1.0);
        let largest = h.iter().fold(0.0f64, |m, h| m.max(h[0].abs()));
        h.iter().map(|h| 1.0 + size / largest * h[0]).collect()
    }

    /// ∫ ρ e^{-i2πn·x}.
    pub fn coefficient(&self, rho: &[f64], wave: [i64; 2]) -> C {
        let n = self.n as i64;
        let mut sum = [0.0; 2];
        for (k, r) in rho.iter().enumerate() {
            let turns = (wave[0] * (k as i64 / n) + wave[1] * (k as i64 % n)).rem_euclid(n);
            let (sin, cos) = (TAU * turns as f64 / n as f64).sin_cos();
            sum = [sum[0] + r * cos / rho.len() as f64, sum[1] - r * sin / rho.len() as f64];
        }
        sum
    }

    /// Fourier coefficients, or the values again (sign 1).
    fn transform(&self, a: &mut [C], sign: f64) {
        let n = self.n;
        a.chunks_exact_mut(n).for_each(|row| fft(row, sign));
        for j in 0..n {
            let mut column: Vec<C> = (0..n).map(|i| a[i * n + j]).collect();
            fft(&mut column, sign);
            (0..n).for_each(|i| a[i * n + j] = column[i]);
        }
    }

    fn spectrum(&self, u: &[f64]) -> Vec<C> {
        let size = (self.n * self.n) as f64;
        let mut a: Vec<C> = u.iter().map(|u| [u / size, 0.0]).collect();
        self.transform(&mut a, -1.0);
        a
    }

    /// v̂ = -K̂ i k ρ̂, a list for each coordinate.
    fn field(&self, rho: &[f64]) -> [Vec<C>; 2] {
        let spectrum = self.spectrum(rho);
        [0, 1].map(|e| {
            let one = |(k, c): (usize, &C)| {
                let waves = [frequency(k / self.n, self.n), frequency(k % self.n, self.n)];
                let square = TAU * TAU * (waves[0] * waves[0] + waves[1] * waves[1]);
                if square == 0.0 {
                    return [0.0; 2];
                }
                let factor = TAU * waves[e] * square.powf(-self.order);
                [factor * c[1], -factor * c[0]]
            };
            spectrum.iter().enumerate().map(one).collect()
        })
    }

    fn rate(&self, rho: &[f64]) -> Vec<f64> {
        let mut sum = vec![[0.0; 2]; self.n * self.n];
        for (e, mut v) in self.field(rho).into_iter().enumerate() {
            self.transform(&mut v, 1.0);
            let product: Vec<f64> = rho.iter().zip(&v).map(|(r, v)| r * v[0]).collect();
            for (k, c) in self.spectrum(&product).iter().enumerate() {
                let m = frequency(if e == 0 { k / self.n } else { k % self.n }, self.n);
                sum[k][0] += TAU * m * c[1];
                sum[k][1] -= TAU * m * c[0];
            }
        }
        self.transform(&mut sum, 1.0);
        sum.iter().map(|c| c[0]).collect()
    }

    fn sum_at(&self, spectrum: &[C], x: [f64; 2]) -> f64 {
        let one = |(k, c): (usize, &C)| {
            let waves = [frequency(k / self.n, self.n), frequency(k % self.n, self.n)];
            let (sin, cos) = (TAU * (waves[0] * x[0] + waves[1] * x[1])).sin_cos();
            // beyond two thirds only what is 0
            c[0] * cos - c[1] * sin
        };
        spectrum.iter().enumerate().map(one).sum()
    }

    /// ρ at a point, by its Fourier series.
    pub fn at(&self, rho: &[f64], x: [f64; 2]) -> f64 {
        let mut spectrum = self.spectrum(rho);
        for (k, c) in spectrum.iter_mut().enumerate() {
            let kept = |k: usize| k == 0 || frequency(k, self.n) != 0.0;
            if !(kept(k / self.n) && kept(k % self.n)) {
                *c = [0.0; 2];
            }
        }
        self.sum_at(&spectrum, x)
    }

    /// After `steps` steps of Runge–Kutta's method, with points that move along.
    pub fn run(&self, rho: &[f64], points: &[[f64; 2]], h: f64, steps: usize) -> (Vec<f64>, Vec<[f64; 2]>) {
        let (mut rho, mut points) = (rho.to_vec(), points.to_vec());
        let speed = |rho: &[f64], points: &[[f64; 2]]| {
            let field = self.field(rho);
            points.iter().map(|x| [self.sum_at(&field[0], *x), self.sum_at(&field[1], *x)]).collect::<Vec<_>>()
        };
        for _ in 0..steps {
            let (mut rates, mut speeds): (Vec<Vec<f64>>, Vec<Vec<[f64; 2]>>) = (Vec::new(), Vec::new());
            for factor in [0.0, 0.5, 0.5, 1.0] {
                let (r, x) = match (rates.last(), speeds.last()) {
                    (Some(k), Some(v)) => (
                        rho.iter().zip(k).map(|(r, k)| r + factor * h * k).collect(),
                        points.iter().zip(v).map(|(x, v)| [0, 1].map(|e| x[e] + factor * h * v[e])).collect(),
                    ),
                    _ => (rho.clone(), points.clone()),
                };
                rates.push(self.rate(&r));
                speeds.push(speed(&r, &x));
            }
            for (stage, weight) in [1.0, 2.0, 2.0, 1.0].into_iter().enumerate() {
                rho.iter_mut().zip(&rates[stage]).for_each(|(r, k)| *r += weight * h / 6.0 * k);
                for (x, v) in points.iter_mut().zip(&speeds[stage]) {
                    (0..2).for_each(|e| x[e] += weight * h / 6.0 * v[e]);
                }
            }
        }
        (rho, points)
    }
}
