//! Training of flows: the gradients that it follows (T8, T9), and that it reaches its target in the same bits whatever happens.

use pushforward::density::{Affine, Density, GaussianMixture, Target, by_name};
use pushforward::divergence::{Divergence, LvSurrogate, all_divergences, check};
use pushforward::estimate::Clock;
use pushforward::linalg::Matrix;
use pushforward::metric::effective_fraction;
use pushforward::model::LatentBatch;
use pushforward::model::flow::{Architecture, CouplingKind, Flow};
use pushforward::model::{FlowModel, FlowSettings};
use pushforward::num::log_mean_exp;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::{Method, Run};
use pushforward::state::Stateful;
use pushforward::velocity::{LogVarianceReference as Reference, log_variance_cotangent};
use std::sync::Arc;

/// A flow in d dimensions with all parameters moved.
fn flow(d: usize, coupling: CouplingKind, components: usize) -> Flow<f64> {
    let architecture = Architecture { coupling, couplings: 2, hidden: vec![5], components, given: 0 };
    let mut flow = Flow::new(Affine::identity(d), architecture, 1);
    for (k, p) in flow.parameters.iter_mut().enumerate() {
        let noise = normal_matrix(2, Purpose::Check, k as u64, p.rows(), p.cols());
        Arc::make_mut(p).update(|p| p.add_scaled(0.1, &noise));
    }
    flow
}

fn pair() -> GaussianMixture {
    GaussianMixture::isotropic(&[0.6, 0.4], Matrix::from_rows(&[[-0.6], [0.7]]), 1.3).unwrap()
}

/// Σ_p ⟨a_p, b_p⟩.
fn dot(a: &[Matrix], b: &[Matrix]) -> f64 {
    a.iter().zip(b).flat_map(|(a, b)| a.as_slice().iter().zip(b.as_slice())).map(|(a, b)| a * b).sum()
}

/// Checks T9 for flows with exact r and β: for every divergence the slope of ∫ q f(p/q) dx along its own path gradient
/// Σ_k π_k ∫ -V·∂x/∂θ φ(z) dz is that gradient's length, for a mixture base with smooth layers, by central differences (step 1e-4 of a
/// unit direction: 1e-8 of the third derivative) and the midpoint rule (exact to rounding for smooth functions that vanish at the
/// ends), to 1e-5.
#[test]
fn path_gradient_is_the_derivative_of_the_divergence() {
    const N: usize = 3 * 1200;
    let (p, base, h) = (pair(), flow(1, CouplingKind::Affine, 3), 3.0 * 20.0 / N as f64);
    let place = |i: usize, half: f64| 2.0 * half * ((i % (N / 3)) as f64 + 0.5) / (N / 3) as f64 - half;
    let grid = Matrix::from_fn(N, 1, |i, _| 15.0 * (2.0 * (i as f64 + 0.5) / N as f64 - 1.0));
    // noise on the grid for each component k, with weight π_k φ(z) h
    let codes: Vec<usize> = (0..N).map(|i| i / (N / 3)).collect();
    let latent = LatentBatch {
        noise: Matrix::from_fn(N, 1, |i, _| place(i, 10.0)),
        jitter: None,
        codes: Some(codes.clone()),
        guidance: 0.0,
    };
    let [means, scales, logits] = [0, 1, 2].map(|k| base.parameters[k].as_slice().to_vec());
    let total: f64 = logits.iter().map(|l| l.exp()).sum();
    let y = {
        let z = Matrix::from_fn(N, 1, |i, _| means[codes[i]] + scales[codes[i]].exp() * place(i, 10.0));
        let tape = pushforward::autodiff::Tape::new();
        let parameters: Vec<_> = base.parameters.iter().map(|p| tape.parameter(p)).collect();
        base.forward(&parameters, tape.leaf(&z)).points.value()
    };
    let at = |density: &dyn Density| {
        let (mut l, mut s) = (vec![0.0; N], Matrix::zeros(N, 1));
        density.evaluate_into(&y, &mut l, &mut s);
        (l, s)
    };
    let ((l_p, s_p), (l_q, s_q), log_p) = (at(&p), at(&base), p.log_density(&grid));
    let surrogate: Arc<dyn Divergence> = Arc::new(LvSurrogate::new(0.3));
    for divergence in all_divergences().into_iter().chain([surrogate]) {
        let cotangent = Matrix::from_fn(N, 1, |i, _| {
            let z = place(i, 10.0);
            let mass = logits[codes[i]].exp() / total * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt() * h;
            -divergence.weight(l_p[i] - l_q[i]) * (s_p[(i, 0)] - s_q[(i, 0)]) * mass
        });
        let gradient = base.gradient(&latent, &cotangent);
        let length = dot(&gradient, &gradient).sqrt();
        let value = |e: f64| {
            let mut moved = base.clone();
            let pairs = moved.parameters.iter_mut().zip(&gradient);
            pairs.for_each(|(p, g)| Arc::make_mut(p).update(|p| p.add_scaled(e / length, g)));
            let log_q = moved.log_density(&grid);
            log_p.iter().zip(&log_q).map(|(p, q)| q.exp() * divergence.f(p - q) * 30.0 / N as f64).sum::<f64>()
        };
        let slope = (value(1e-4) - value(-1e-4)) / 2e-4;
        assert!((slope - length).abs() < 1e-5 * length, "{}: {slope} {length}", divergence.name());
    }
}

/// Checks that half the gradient of the unbiased sample variance of log q - log p over frozen points is leave-one-out REINFORCE,
/// (1/S) Σ ∇log q(x_i) (f_i - mean of the other f), to rounding (1e-12 of the size for S = 12), for each kind of flow and base; and that
/// it is the derivative of that variance (central differences of step 1e-5: 1e-8 of the size).
#[test]
fn log_variance_is_leave_one_out_reinforce() {
    let target = by_name("ring8").unwrap();
    for coupling in [CouplingKind::Affine, CouplingKind::Spline { bins: 4, reach: 3.0 }] {
        for components in [1, 3] {
            let (flow, n) = (flow(2, coupling, components), 12);
            let x: Matrix = normal_matrix(4, Purpose::Check, 1, n, 2);
            let log_p = target.log_density(&x);
            let f = |flow: &Flow<f64>| -> Vec<f64> {
                flow.log_density(&x).iter().zip(&log_p).map(|(q, p)| q - p).collect()
            };
            let values = f(&flow);
            let half = flow.log_density_gradient(&x, &log_variance_cotangent(&values, None));
            let mut reinforce = half.iter().map(|m| Matrix::zeros(m.rows(), m.cols())).collect::<Vec<Matrix>>();
            for i in 0..n {
                let others =
                    values.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, f)| f).sum::<f64>() / (n - 1) as f64;
                let one = flow.log_density_gradient(&x.slice_rows(i..i + 1), &[1.0]);
                let factor = (values[i] - others) / n as f64;
                reinforce.iter_mut().zip(&one).for_each(|(r, g)| r.add_scaled(factor, g));
            }
            let mut apart = half.clone();
            apart.iter_mut().zip(&reinforce).for_each(|(a, r)| a.add_scaled(-1.0, r));
            let size = dot(&half, &half).sqrt();
            assert!(dot(&apart, &apart).sqrt() < 1e-12 * size, "{coupling:?}, {components}");
            let direction: Vec<Matrix> = half
                .iter()
                .enumerate()
                .map(|(k, m)| normal_matrix(6, Purpose::Check, k as u64, m.rows(), m.cols()))
                .collect();
            let variance = |e: f64| {
                let mut moved = flow.clone();
                moved
                    .parameters
                    .iter_mut()
                    .zip(&direction)
                    .for_each(|(p, v)| Arc::make_mut(p).update(|p| p.add_scaled(e, v)));
                let f = f(&moved);
                let mean = f.iter().sum::<f64>() / n as f64;
                f.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / (n - 1) as f64
            };
            let slope = 0.5 * (variance(1e-5) - variance(-1e-5)) / 2e-5;
            let scale = size * dot(&direction, &direction).sqrt();
            assert!((dot(&half, &direction) - slope).abs() < 1e-6 * scale, "{coupling:?}, {components}: {slope}");
        }
    }
}

/// Checks the weights of references: equal log-weights change nothing, and a weight of zero takes a point out.
#[test]
fn weighted_cotangents() {
    let f = [0.3, -1.0, 2.0, 0.5];
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14);
    assert!(close(&log_variance_cotangent(&f, Some(&[7.0; 4])), &log_variance_cotangent(&f, None)));
    let without = log_variance_cotangent(&f, Some(&[0.0, 0.0, 0.0, f64::NEG_INFINITY]));
    assert!(close(&without[..3], &log_variance_cotangent(&f[..3], None)) && without[3] == 0.0);
}

/// Checks that the surrogate's weight exceeds 1, does not change when log p or log q is shifted by a constant (to rounding), and is
/// that of an f-divergence at each centre, by the laws of the others.
#[test]
fn surrogate_is_positive_and_blind_to_constants() {
    let base = LvSurrogate::new(0.0);
    for c in [-2.0, 0.0, 3.0] {
        let report = check(&LvSurrogate::new(c));
        assert!(report.passed(), "{c}: {report:?}");
    }
    for l in (-40..=40).map(|k| 0.5 * f64::from(k)) {
        for c in [-3.0, 0.0, 5.0] {
            let (own, shifted) = (base.centred(c).unwrap(), base.centred(c + 2.0).unwrap());
            assert!(own.weight(l) >= 1.0 && (own.log_weight(l) - shifted.log_weight(l + 2.0)).abs() < 1e-14);
        }
    }
}

/// A small flow for ring8 under a name of [`OBJECTIVES`].
fn method(objective: &str) -> Method {
    let target = Target::of(by_name("ring8").unwrap());
    let drift = Reference::by_name(objective).is_err();
    let (preset, key) = if drift { ("flow", "divergence") } else { ("flow-lv", "reference") };
    let method = Method::preset(preset, &target).unwrap().with(key, objective).unwrap();
    let small: [(&str, usize); 4] = [("steps", 80), ("batch", 256), ("couplings", 2), ("components", 16)];
    small.into_iter().fold(method, |m, (key, value)| m.with(key, value).unwrap()).with("hidden", vec![16]).unwrap()
}

fn trained(objective: &str, steps: u64) -> Run {
    let mut run = method(objective).start(&Target::of(by_name("ring8").unwrap()), None).unwrap();
    for _ in 0..steps {
        run.step().unwrap();
    }
    run
}

fn flow_of(run: &Run) -> Flow<f32> {
    run.model_as::<FlowModel<f32>>().unwrap().flow()
}

/// ESS over 4,000 samples, and log Z.
fn quality(flow: &Flow<f32>) -> (f64, f64) {
    let (x, log_q) = flow.cast::<f64>().sample_with_log_density(4000, 3, 0);
    let log_p = by_name("ring8").unwrap().log_density(&x);
    let l: Vec<f64> = log_p.iter().zip(&log_q).map(|(p, q)| p - q).collect();
    (effective_fraction(&l), log_mean_exp(&l))
}

/// Divergences of the drift, and references of log-variance.
const OBJECTIVES: [&str; 6] = ["reverse-kl", "jeffreys", "lv-surrogate", "model", "geometric:0.5", "replay"];

/// Checks that 80 steps take at least a tenth off what the start lacks of an ESS of 1 (about 0.06), for each objective, with log Z
/// within 0.05 of its exact 0: ten standard errors of 4,000 samples at an ESS of 0.9.
#[test]
fn training_improves_the_start() {
    let start = quality(&flow_of(&trained("reverse-kl", 0))).0;
    let mut report = String::new();
    for name in OBJECTIVES {
        let (ess, log_z) = quality(&flow_of(&trained(name, 80)));
        if 1.0 - ess > 0.9 * (1.0 - start) || log_z.abs() > 0.05 {
            report += &format!("{name}: ESS {ess} from {start}, log Z {log_z}\n");
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// Checks that a stop changes nothing: state, resume and the rest of the steps give the bits of a run without a stop, on another number
/// of threads; and that states that do not fit are refused.
#[test]
fn resumes_in_the_same_bits() {
    let target = Target::of(by_name("ring8").unwrap());
    for objective in ["reverse-kl", "replay"] {
        let whole = trained(objective, 20);
        let stopped = trained(objective, 9).state();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let again = pool.install(|| {
            let mut rest = method(objective).resume(&target, &stopped).unwrap();
            for _ in 0..11 {
                rest.step().unwrap();
            }
            rest
        });
        assert_eq!(whole.state(), again.state());
        let mut other = stopped.clone();
        other.counters.insert("model.components".into(), 1 << 40);
        assert!(method(objective).resume(&target, &other).is_err());
    }
}

/// Checks the schedule of Adam's rate: it rises by equal steps over the first 5 % to the given rate, less what the half cosine has fallen by
/// then (at most 1 %), and ends at 0 (below 1 %, the last step of 1,000 being π/1000 before it).
#[test]
fn rate_rises_then_falls() {
    let s = FlowSettings { learning_rate: 1.0, ..FlowSettings::default() };
    let rate = |step: u64| s.rate(Clock { step, steps: 1000 });
    assert!((rate(0) - 0.02).abs() < 1e-12 && (rate(9) - 0.2).abs() < 1e-3);
    assert!((rate(49) - 1.0).abs() < 0.01 && rate(999) < 0.01);
}

/// Checks that settings out of range are refused by name, and that references are found by name.
#[test]
fn mistakes() {
    for (key, value, word) in [("batch", 1.0, "batch"), ("temper", 0.0, "temper"), ("components", 0.0, "components")] {
        let error = method("geometric:0.25").with(key, value).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert_eq!(Reference::by_name("geometric").unwrap(), Reference::Geometric(0.5));
    assert!(Reference::by_name("geometric:2").is_err() && Reference::by_name("replai").is_err());
}
