//! The statements of `docs/notes-on-sources.md`, each measured. Nothing of the library is used, so that a reader can take one test out.

/// Uniform and normal variates from SplitMix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn gaussian(x: f64, mean: f64, std: f64) -> f64 {
    let z = (x - mean) / std;
    (-0.5 * z * z).exp() / (std::f64::consts::TAU.sqrt() * std)
}

/// ¼ N(-2, 1) + ¾ N(2, 1) and its score.
fn near(x: f64) -> (f64, f64) {
    let (a, b) = (0.25 * gaussian(x, -2.0, 1.0), 0.75 * gaussian(x, 2.0, 1.0));
    (a + b, (a * (-2.0 - x) + b * (2.0 - x)) / (a + b))
}

/// Stein's velocity with the kernel exp(-|x-y|²/w), w = median of |x-y|² over log n.
fn stein(x: &[f64]) -> Vec<f64> {
    let n = x.len();
    let mut squares: Vec<f64> = x.iter().flat_map(|a| x.iter().map(move |b| (a - b) * (a - b))).collect();
    let middle = squares.len() / 2;
    let w = *squares.select_nth_unstable_by(middle, f64::total_cmp).1 / (n as f64).ln();
    let scores: Vec<f64> = x.iter().map(|x| near(*x).1).collect();
    let pull = |a: f64| {
        let pairs = x.iter().zip(&scores);
        pairs.map(|(b, s)| (-(a - b) * (a - b) / w).exp() * (s + 2.0 * (a - b) / w)).sum::<f64>() / n as f64
    };
    x.iter().map(|a| pull(*a)).collect()
}

/// KL of the particles' kernel estimate (Scott's bandwidth) from the mixture, by the trapezoidal rule.
fn kl(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let std = (x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt();
    let h = std * n.powf(-0.2);
    let (low, high) = x.iter().fold((f64::MAX, f64::MIN), |m, x| (m.0.min(*x), m.1.max(*x)));
    let (low, high) = (low - 6.0 * h, high + 6.0 * h);
    let step = (high - low) / 1000.0;
    let term = |k: usize| {
        let at = low + k as f64 * step;
        let q = x.iter().map(|x| gaussian(at, *x, h)).sum::<f64>() / n;
        if q > 0.0 { q * (q / near(at).0.max(1e-300)).ln() } else { 0.0 }
    };
    (0..=1000).map(term).sum::<f64>() * step
}

/// Checks that Stein's particles from N(0, 1) come near the two-mode mixture by t = 10 when the velocity follows them, and end more than ten
/// times as far from it when the velocity of the start is kept.
#[test]
fn frozen_velocity() {
    let mut random = Random(1);
    let start: Vec<f64> = (0..200).map(|_| random.normal()).collect();
    let mut live = start.clone();
    for _ in 0..500 {
        let v = stein(&live);
        live.iter_mut().zip(v).for_each(|(x, v)| *x += 0.02 * v);
    }
    let frozen: Vec<f64> = start.iter().zip(stein(&start)).map(|(x, v)| x + 10.0 * v).collect();
    let (live, frozen) = (kl(&live), kl(&frozen));
    println!("KL at t = 10: {live:.3} with the velocity of the present particles, {frozen:.3} with that of the first");
    assert!(live < 0.15 && frozen > 10.0 * live, "{live} {frozen}");
}

/// Checks on p ∝ exp(-0.3|x|^a), a = e^(-0.1), that 0.3|x|^a has the mean 1/a of Gamma(1/a), and not the mean a of Gamma(a): to 1e-6 by the
/// trapezoidal rule in y = log x.
#[test]
fn gamma_shape() {
    let a = (-0.1f64).exp();
    let (mut mass, mut mean) = (0.0, 0.0);
    for k in -40_000..=8_000 {
        let x = (k as f64 * 1e-3).exp();
        let energy = 0.3 * x.powf(a);
        mass += x * (-energy).exp();
        mean += x * (-energy).exp() * energy;
    }
    let mean = mean / mass;
    println!("E[0.3|x|^a] = {mean:.6}; 1/a = {:.6}, a = {a:.6}", 1.0 / a);
    assert!((mean - 1.0 / a).abs() < 1e-6 && (mean - a).abs() > 0.2, "{mean}");
}

/// Checks the four-particle double well of (0.9, -4, 4): by the virial theorem E[x·∇E] is 6 in its six free coordinates, and the share of
/// pairs nearer than 4 is 0.494, each within 4 standard errors of independent chains (chance 1e-4).
#[test]
fn double_well_virial() {
    let pair = |r: f64| 0.9 * (r - 4.0).powi(4) - 4.0 * (r - 4.0).powi(2);
    let slope = |r: f64| 3.6 * (r - 4.0).powi(3) - 8.0 * (r - 4.0);
    let distance = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
    let (chains, mut random) = (1000, Random(2));
    let (mut virials, mut shares) = (Vec::new(), Vec::new());
    for _ in 0..chains {
        let mut x: [[f64; 2]; 4] = std::array::from_fn(|_| [3.0 * random.normal(), 3.0 * random.normal()]);
        let (mut virial, mut share) = (0.0, 0.0);
        for sweep in 0..1800 {
            // tempered at first, so that no chain stays where it began
            let beta = ((sweep + 1) as f64 / 300.0).min(1.0);
            for i in 0..4 {
                let size = [0.15, 0.5, 2.0][(3.0 * random.uniform()) as usize % 3];
                let y = [x[i][0] + size * random.normal(), x[i][1] + size * random.normal()];
                let others = || (0..4).filter(|j| *j != i);
                let change: f64 = others().map(|j| pair(distance(y, x[j])) - pair(distance(x[i], x[j]))).sum();
                if random.uniform() < (-beta * change).exp() {
                    x[i] = y;
                }
            }
            if sweep >= 300 {
                let pairs = || (0..4).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| distance(x[i], x[j]));
                virial += pairs().map(|r| r * slope(r)).sum::<f64>() / 1500.0;
                share += pairs().filter(|r| *r < 4.0).count() as f64 / 9000.0;
            }
        }
        virials.push(virial);
        shares.push(share);
    }
    let summary = |v: &[f64]| {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let square = v.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / v.len() as f64;
        (mean, (square / v.len() as f64).sqrt())
    };
    let ((virial, error), (share, share_error)) = (summary(&virials), summary(&shares));
    println!("E[x·∇E] = {virial:.2} ± {error:.2}; share of pairs nearer than 4: {share:.4} ± {share_error:.4}");
    assert!((virial - 6.0).abs() < 4.0 * error, "{virial} {error}");
    assert!((share - 0.494).abs() < 4.0 * share_error, "{share} {share_error}");
}

/// Checks that a one-step evidence with tr J in place of log det(I + J) is too high: by 5(1 - log 2) = 1.5343 for five eigenvalues of one, and
/// never too low, on 1,000 random symmetric J.
#[test]
fn trace_for_log_determinant() {
    let excess = |eigenvalues: &[f64]| eigenvalues.iter().map(|v| v - v.ln_1p()).sum::<f64>();
    let five = excess(&[1.0; 5]);
    println!("five eigenvalues of one: {five:.4} nats too high");
    assert!((five - 5.0 * (1.0 - 2.0f64.ln())).abs() < 1e-15);
    let mut random = Random(3);
    for _ in 0..1000 {
        let eigenvalues: Vec<f64> = (0..5).map(|_| 3.0 * random.uniform() - 0.99).collect();
        assert!(excess(&eigenvalues) > 0.0);
    }
}

/// I(a; b) in nats from counts.
fn information(a: &[usize], b: &[usize]) -> f64 {
    let share = |f: &dyn Fn(usize) -> bool| (0..a.len()).filter(|i| f(*i)).count() as f64 / a.len() as f64;
    let term = |i: usize| {
        let both = share(&|j| a[j] == a[i] && b[j] == b[i]);
        (both / (share(&|j| a[j] == a[i]) * share(&|j| b[j] == b[i]))).ln()
    };
    (0..a.len()).map(term).sum::<f64>() / a.len() as f64
}

/// Checks that the mutual information of a code in 20 bins with a factor of four levels, which are independent, comes out above 0.7 of the
/// factor's entropy from 4 points and below 0.05 from 1,000, in the mean over 20 draws.
#[test]
fn four_points_say_nothing_of_a_code() {
    let mut random = Random(4);
    let mut share = |n: usize| {
        let draw =
            |random: &mut Random, levels: f64| (0..n).map(|_| (levels * random.uniform()) as usize).collect::<Vec<_>>();
        let one = |random: &mut Random| {
            let (factor, code) = (draw(random, 4.0), draw(random, 20.0));
            let entropy = information(&factor, &factor);
            if entropy > 0.0 { information(&factor, &code) / entropy } else { 0.0 }
        };
        (0..20).map(|_| one(&mut random)).sum::<f64>() / 20.0
    };
    let (few, many) = (share(4), share(1000));
    println!("information over entropy of independent code and factor: {few:.3} from 4 points, {many:.3} from 1,000");
    assert!(few > 0.7 && many < 0.05, "{few} {many}");
}
