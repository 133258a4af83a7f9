//! Continual Bayes where everything is known: sums over partitions, dense Gaussians, streams of clusters, and samplers in a row.

use pushforward::continual::{
    Approximation, Clusters, CrpMixture, Curve, Gaussian, Learner, Network, StreamSettings, Task, TaskModel, Wave,
    course, exact, expected_weights, mean_field, sequence,
};
use pushforward::density::{Density, GaussianMixture, TapeDensity, Target};
use pushforward::linalg::{Cholesky, Matrix};
use pushforward::model::FlowModel;
use pushforward::num::{Summary, log_mean_exp, log_sum_exp};
use pushforward::rng::{Purpose, normal_matrix, stream, uniform};
use pushforward::run::Method;
use std::sync::Arc;

/// The six numbers of the oracle, each a task: x_i = μ + ε, ε ~ N(0, ¼), μ ~ N(0, 9).
const DATA: [f64; 6] = [-3.1, -2.9, 0.2, 2.8, 3.2, -3.0];
const CRP: Clusters = Clusters::Crp { alpha: 1.0 };

fn scalars(data: &[f64]) -> Vec<Task> {
    data.iter().map(|&y| Task { x: Matrix::filled(1, 1, 1.0), y: vec![y] }).collect()
}

fn oracle() -> TaskModel {
    TaskModel::spherical(1, 0.5, 0.0, 3.0)
}

/// Checks the sum over the 203 partitions of six numbers to every digit of its published values: log evidence, the most probable partition,
/// P(K), the evidences of all prefixes, and the truncated sticks with T = 3 to 6.
#[test]
fn sums_over_partitions() {
    let (tasks, model) = (scalars(&DATA), oracle());
    let all = exact(&tasks, &model, CRP).unwrap();
    assert_eq!((all.partitions, all.best.clone()), (203, vec![0, 0, 1, 2, 2, 0]));
    let near = |a: f64, b: f64, digits: i32| assert!((a - b).abs() <= 0.51 * 0.1f64.powi(digits), "{a} {b}");
    near(all.log_evidence, -14.390931, 6);
    near(all.best_probability, 0.7139, 4);
    for (found, value) in all.clusters.iter().zip([0.0, 0.00027, 0.71489, 0.25459, 0.02915, 0.00110]) {
        near(*found, value, 5);
    }
    assert!((all.clusters.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let prefixes = [(-2.55071, 5), (-3.684579, 6), (-6.81652, 5), (-10.651078, 6), (-12.906386, 6), (-14.390931, 6)];
    for (n, (value, digits)) in prefixes.into_iter().enumerate() {
        near(exact(&tasks[..=n], &model, CRP).unwrap().log_evidence, value, digits);
    }
    for (truncation, value) in [(3, -14.670379), (4, -14.414263), (5, -14.379561), (6, -14.381908)] {
        let sticks = Clusters::Sticks { alpha: 1.0, truncation };
        near(exact(&tasks, &model, sticks).unwrap().log_evidence, value, 6);
    }
    // many sticks are the restaurant
    let far = exact(&tasks, &model, Clusters::Sticks { alpha: 1.0, truncation: 40 }).unwrap();
    assert!((far.log_evidence - all.log_evidence).abs() < 1e-6, "{}", far.log_evidence);
}

/// Checks that the probabilities of all partitions sum to 1 for both laws of clusters, n = 1 … 7 (Bell's numbers 1 to 877), three α and
/// three T, to 1e-12: with tasks that say nothing, evidence 1 is what is left.
#[test]
fn partitions_are_a_law() {
    for n in 1..=7usize {
        // one observation of a coefficient that is known
        let model =
            TaskModel { prior: Gaussian { mean: vec![0.0], covariance: Matrix::filled(1, 1, 1.0) }, ..oracle() };
        let tasks: Vec<Task> = (0..n).map(|_| Task { x: Matrix::zeros(1, 1), y: vec![0.0] }).collect();
        let silent = -0.5 * n as f64 * (std::f64::consts::TAU * model.noise).ln();
        for alpha in [0.3, 1.0, 4.5] {
            let sticks = [1, 3, 9].map(|truncation| Clusters::Sticks { alpha, truncation });
            for law in [Clusters::Crp { alpha }].into_iter().chain(sticks) {
                let found = exact(&tasks, &model, law).unwrap();
                assert!((found.log_evidence - silent).abs() < 1e-12, "n = {n}, {law:?}");
                assert_eq!(found.partitions, [1, 2, 5, 15, 52, 203, 877][n - 1]);
            }
        }
    }
}

/// Checks mean field on the oracle from forty random starts: the bound never falls from sweep to sweep, stays below the exact evidence of the same
/// number of sticks, and the best one is within 5 nats of it; equal to it for one stick; and that expected weights sum to 1 to rounding.
#[test]
fn mean_field_stays_below_the_evidence() {
    let (tasks, model) = (scalars(&DATA), oracle());
    // one stick: the bound is the evidence
    let alone = mean_field(&tasks, &model, 1.0, &Matrix::filled(6, 1, 1.0)).unwrap().elbo();
    let exactly = exact(&tasks, &model, Clusters::Sticks { alpha: 1.0, truncation: 1 }).unwrap().log_evidence;
    assert!((alone - exactly).abs() < 1e-11 * exactly.abs(), "{alone} {exactly}");
    for truncation in [3, 4, 6] {
        let evidence = exact(&tasks, &model, Clusters::Sticks { alpha: 1.0, truncation }).unwrap().log_evidence;
        let mut best = f64::NEG_INFINITY;
        for seed in 0..40 {
            let z: Matrix = normal_matrix(seed, Purpose::Check, 40, 6, truncation);
            let rows: Vec<Vec<f64>> = z
                .iter_rows()
                .map(|r| pushforward::num::softmax(&r.iter().map(|z| 4.0 * z).collect::<Vec<_>>()))
                .collect();
            let q = mean_field(&tasks, &model, 1.0, &Matrix::from_rows(&rows)).unwrap();
            assert!(q.course.windows(2).all(|w| w[1] >= w[0] - 1e-11 * w[0].abs()), "T = {truncation}: {:?}", q.course);
            assert!(q.elbo() < evidence, "T = {truncation}: {} {evidence}", q.elbo());
            let weights = expected_weights(&q.sticks);
            assert!(
                weights.len() == truncation && (weights.iter().sum::<f64>() - 1.0).abs() < 1e-15 * truncation as f64
            );
            best = best.max(q.elbo());
        }
        println!("T = {truncation}: bound {best:.6}, evidence {evidence:.6}, gap {:.6}", evidence - best);
        // one labelling of the sticks in place of all
        assert!(evidence - best < 5.0, "T = {truncation}: {best} {evidence}");
    }
}

/// Tasks of one cluster with random designs.
fn regressions(n: usize, p: usize) -> Vec<Task> {
    let one = |t: usize| {
        let z: Matrix = normal_matrix(t as u64, Purpose::Check, 41, 4, p + 1);
        Task { x: Matrix::from_fn(4, p, |i, j| z[(i, j)]), y: (0..4).map(|i| 2.0 * z[(i, p)]).collect() }
    };
    (0..n).map(one).collect()
}

/// Checks that tasks taken on one after the other give the posterior and the evidence of all of them in one dense Gaussian, y ~ N(Xm, X S Xᵀ + R)
/// with R block-diagonal, to 1e-12 relative, for 1 to 5 coefficients; in any order of the tasks too.
#[test]
fn sequential_is_batch() {
    for p in 1..=5 {
        let model = TaskModel::spherical(p, 0.3, 0.4, 2.0);
        let tasks = regressions(7, p);
        let take = |order: &mut dyn Iterator<Item = &Task>| {
            let (mut law, mut evidence) = (model.prior.clone(), 0.0);
            for task in order {
                let (more, after) = model.observe(&law, task).unwrap();
                (law, evidence) = (after, evidence + more);
            }
            (law, evidence)
        };
        let (law, evidence) = take(&mut tasks.iter());
        let (turned, same) = take(&mut tasks.iter().rev());
        let x = Matrix::from_vec(28, p, tasks.iter().flat_map(|t| t.x.as_slice().to_vec()).collect());
        let y: Vec<f64> = tasks.iter().flat_map(|t| t.y.clone()).collect();
        let blocks: Vec<Matrix> = tasks.iter().map(|t| model.noise_of(&t.x)).collect();
        let noise = Matrix::from_fn(28, 28, |i, j| if i / 4 == j / 4 { blocks[i / 4][(i % 4, j % 4)] } else { 0.0 });
        // by hand: precision and linear term of μ
        let factor = Cholesky::factor(&noise, "R").unwrap();
        let mut solved = x.transpose();
        factor.solve_rows(&mut solved);
        let mut precision = Cholesky::factor(&model.prior.covariance, "S").unwrap().inverse();
        precision.add_scaled(1.0, &pushforward::linalg::matmul(&solved, &x));
        let after = Cholesky::factor(&Matrix::from_fn(p, p, |i, j| 0.5 * (precision[(i, j)] + precision[(j, i)])), "P")
            .unwrap();
        let linear = pushforward::linalg::matmul(&solved, &Matrix::from_vec(28, 1, y.clone())).into_vec();
        let batch = Gaussian { mean: after.solve(&linear), covariance: after.inverse() };
        let (dense, _) = model.prior.observe(&x, &y, &noise).unwrap();
        for (evidence, law) in [(evidence, &law), (same, &turned)] {
            assert!((evidence - dense).abs() <= 1e-12 * dense.abs(), "p = {p}: {evidence} {dense}");
            let size = batch.mean.iter().fold(1.0f64, |m, v| m.max(v.abs()));
            assert!(law.mean.iter().zip(&batch.mean).all(|(a, b)| (a - b).abs() <= 1e-12 * size), "p = {p}");
            let pairs = law.covariance.as_slice().iter().zip(batch.covariance.as_slice());
            assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) <= 1e-12, "p = {p}");
        }
    }
}

/// Checks that the online mixture opens the oracle's three clusters, that its responsibilities sum to 1, and that a task whose support
/// is far from everything is given to a new component.
#[test]
fn components_are_born() {
    let mut mixture = CrpMixture::new(&oracle(), 1.0);
    scalars(&DATA).iter().for_each(|t| mixture.observe(t).unwrap());
    assert_eq!(mixture.clusters(), Some(3));
    let mut counts: Vec<f64> = mixture.components().iter().map(|c| c.0.round()).collect();
    counts.sort_by(f64::total_cmp);
    assert_eq!(counts, [1.0, 2.0, 3.0]);
    for y in [-3.0, 0.1, 9.0] {
        let r = mixture.responsibilities(&scalars(&[y])[0]).unwrap();
        assert!((r.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        assert_eq!(*r.last().unwrap() > 0.9, y == 9.0, "{y}: {r:?}");
    }
}

/// The learners over streams, printed; by name.
fn printed(settings: &StreamSettings) -> impl Fn(&str) -> Curve + use<> {
    let all = course(settings).unwrap();
    for c in &all.curves {
        let (past, forgetting) = (Summary::of(&c.past()), Summary::of(&c.forgetting()));
        println!(
            "{}, {:<11} past {:.4} ± {:.4}, risen by {:.4} ± {:.4}, clusters {:?}",
            settings.kind,
            c.name,
            past.mean,
            past.standard_error(),
            forgetting.mean,
            forgetting.standard_error(),
            c.clusters
        );
    }
    move |name: &str| all.curves.iter().find(|c| c.name == name).unwrap().clone()
}

/// Checks a stream of three clusters of regression tasks (5 shots, 10 queries, 100 unseen tasks of each past cluster, 5 seeds), and one of Gaussian
/// tasks: the mixture's error at past clusters is within 5 % of the model that sees all data, in the mean over seeds; it finds three clusters in each
/// seed; one Gaussian law forgets, its error at past clusters having risen by more than 3 standard errors, to at least 1.2 times the mixture's.
#[test]
fn mixtures_remember_and_one_gaussian_forgets() {
    for kind in ["regression", "gaussian"] {
        let settings = StreamSettings { kind: kind.into(), ..StreamSettings::default() };
        let curve = printed(&settings);
        let past = |name: &str| Summary::of(&curve(name).past()).mean;
        assert!(past("mixture") <= 1.05 * past("all-data"), "{kind}");
        assert!(past("floor") <= past("all-data") * 1.001, "{kind}");
        assert_eq!(curve("mixture").clusters, vec![Some(3); 5], "{kind}");
        let forgetting = Summary::of(&curve("single").forgetting());
        assert!(forgetting.mean > 3.0 * forgetting.standard_error(), "{kind}: {forgetting:?}");
        assert!(past("single") > 1.2 * past("mixture"), "{kind}");
        // the same for any number of threads
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let again = one.install(|| course(&StreamSettings { learners: "mixture".into(), ..settings.clone() })).unwrap();
        assert_eq!(again.curves[1].errors, curve("mixture").errors);
    }
}

/// A task of five points of a wave.
fn wave_task(t: u64) -> Task {
    let mut rng = stream(t, Purpose::Check, 70);
    let wave = Wave::of(std::array::from_fn(|_| uniform(&mut rng)));
    let u: Vec<f64> = (0..5).map(|_| 6.0 * uniform(&mut rng) - 3.0).collect();
    let z: Matrix = normal_matrix(t, Purpose::Check, 71, 1, 5);
    let y = u.iter().zip(z.as_slice()).map(|(u, z)| wave.at(*u) + 0.3 * z).collect();
    Task { x: Matrix::from_vec(5, 1, u), y }
}

/// Checks the network as a task: its Jacobian against central differences (error h² = 1e-10 of third derivatives of order 1); with the last layer alone it is
/// linear in w, so that laws and evidences of w are those of linear regression about any point, to 1e-10; with all weights the law's mean is nearly
/// stationary: the gradient of the log posterior has fallen to 2 % or less of what it was at the prior's mean.
#[test]
fn networks_are_regression_to_first_order() {
    for (last, seed) in [(true, 0u64), (true, 1), (false, 2), (false, 3)] {
        let network = Network::new(8, last, seed);
        let p = network.dim();
        assert_eq!(p, if last { 9 } else { 25 });
        let task = wave_task(seed);
        let w = normal_matrix::<f64>(seed, Purpose::Check, 72, 1, p).into_vec();
        let here = network.about(&w, &task);
        for j in 0..p {
            let shifted = |h: f64| {
                let mut w = w.clone();
                w[j] += h;
                network.outputs(&w, &task.x)
            };
            for ((a, b), i) in shifted(1e-5).iter().zip(shifted(-1e-5)).zip(0..) {
                assert!(((a - b) / 2e-5 - here.x[(i, j)]).abs() < 1e-8, "{last}, entry {j}");
            }
        }
        let linear = TaskModel::spherical(p, 0.3, 0.3, 2.0);
        let model = TaskModel { network: Some(Arc::new(network.clone())), ..linear.clone() };
        let (evidence, law) = model.adapt(&model.prior, &task).unwrap();
        if last {
            let (exactly, same) = linear.adapt(&linear.prior, &here).unwrap();
            assert!((evidence - exactly).abs() < 1e-10 * exactly.abs(), "{evidence} {exactly}");
            let means = law.mean.iter().zip(&same.mean);
            assert!(means.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) < 1e-10);
        } else {
            // ∇ log posterior in units in which the law of w is N(0, (4 + 0.09) I)
            let slope = |w: &[f64]| {
                let at = network.about(w, &task);
                let left: Vec<f64> =
                    task.y.iter().zip(network.outputs(w, &task.x)).map(|(y, f)| (y - f) / 0.09).collect();
                let pull = |j: usize| (0..5).map(|i| at.x[(i, j)] * left[i]).sum::<f64>() - w[j] / 4.09;
                (0..p).map(|j| pull(j).powi(2)).sum::<f64>().sqrt()
            };
            let (before, after) = (slope(&vec![0.0; p]), slope(&law.mean));
            assert!(after < 0.02 * before, "{before} {after}");
        }
    }
}

/// Checks three clusters of waves with five shots for a network trained on waves of all kinds, whose last layer is the latent of a task: the mixture's
/// error at past clusters is within 5 % of the model that sees all data; one Gaussian law forgets, its error there having risen by more than 3
/// standard errors, to at least 1.2 times the mixture's; and the mixture is better than no memory by more than 3 standard errors.
#[test]
fn mixtures_of_last_layers_remember() {
    let settings = StreamSettings { kind: "sinusoid".into(), ..StreamSettings::default() };
    let curve = printed(&settings);
    let past = |name: &str| Summary::of(&curve(name).past()).mean;
    assert!(past("mixture") <= 1.05 * past("all-data"));
    let forgetting = Summary::of(&curve("single").forgetting());
    assert!(forgetting.mean > 3.0 * forgetting.standard_error(), "{forgetting:?}");
    assert!(past("single") > 1.2 * past("mixture"));
    let gain: Vec<f64> = curve("none").past().iter().zip(curve("mixture").past()).map(|(a, b)| a - b).collect();
    assert!(Summary::of(&gain).mean > 3.0 * Summary::of(&gain).standard_error(), "{gain:?}");
}

/// Checks the same where all weights are the latent, on two small streams: the mixture's error at past clusters is less than half of that of one Gaussian law
/// and of no memory. (Five full streams are in docs/continual.md: the mixture is then further from the model that sees all data than 5 %.)
#[test]
fn mixtures_of_whole_networks_remember() {
    let learners = "mixture, single, none".into();
    let settings =
        StreamSettings { kind: "network".into(), evaluation: 20, seeds: 2, learners, ..StreamSettings::default() };
    let curve = printed(&settings);
    let past = |name: &str| Summary::of(&curve(name).past()).mean;
    assert!(past("mixture") < 0.5 * past("single") && past("mixture") < 0.5 * past("none"));
}

/// Two parameters, y = tanh(a u + b) + N(0, 0.3²), four observations a task.
fn tanh_task(t: u64) -> Arc<dyn Density> {
    let mut rng = stream(t, Purpose::Check, 42);
    let u: Vec<f64> = (0..4).map(|_| 3.0 * uniform(&mut rng) - 1.5).collect();
    let z: Matrix = normal_matrix(t, Purpose::Check, 43, 1, 4);
    let y: Vec<f64> = u.iter().zip(z.as_slice()).map(|(u, z)| (1.2 * u - 0.4).tanh() + 0.3 * z).collect();
    Arc::new(TapeDensity::new(2, move |x| {
        let (a, b) = (x.column(0), x.column(1));
        let square = |(u, y): (&f64, &f64)| ((a * *u + b).tanh() - *y).square() * (-0.5 / 0.09);
        let sum = u.iter().zip(&y).map(square).reduce(|a, b| a + b).expect("observations");
        sum - 2.0 * (std::f64::consts::TAU * 0.09).ln()
    }))
}

/// Checks continual Bayes by flows: over three tasks of a tanh regression the posterior of each day, a trained flow, is the prior of the next; the
/// increments of the log evidence add up to that of all data at once, by quadrature on a grid (spacing 0.04 over 10 standard deviations), to
/// five standard errors and 0.02 nats; a day whose posterior is replaced by the prior loses at least 0.3.
#[test]
fn increments_add_up_to_the_batch_evidence() {
    let prior: Arc<dyn Density> =
        Arc::new(GaussianMixture::new(&[1.0], Matrix::zeros(1, 2), vec![Matrix::identity(2)]).unwrap());
    let likelihoods: Vec<Arc<dyn Density>> = (0..3).map(tanh_task).collect();
    let side = 401;
    let grid =
        Matrix::from_fn(side * side, 2, |k, j| if j == 0 { (k / side) as f64 } else { (k % side) as f64 } * 0.04 - 8.0);
    let mut joint = prior.log_density(&grid);
    for l in &likelihoods {
        joint.iter_mut().zip(l.log_density(&grid)).for_each(|(j, l)| *j += l);
    }
    let batch = log_sum_exp(&joint) + 0.0016f64.ln();
    let flow = |t: usize, p: &Arc<dyn Density>| {
        let target = Target::of(Arc::clone(p));
        let method = Method::preset("flow", &target)?.with("steps", 300)?.with("batch", 256)?.with("seed", t as u64)?;
        let mut run = method.start(&target, None)?;
        run.finish()?;
        let q = run.model_as::<FlowModel<f32>>().expect("a flow").flow();
        let (x, log_q) = q.sample_with_log_density(4000, 77, t as u64);
        let weights: Vec<f64> = p.log_density(&x).iter().zip(&log_q).map(|(p, q)| p - q).collect();
        let log_z = log_mean_exp(&weights);
        let relative = Summary::of(&weights.iter().map(|w| (w - log_z).exp()).collect::<Vec<_>>());
        Ok(Approximation { density: Arc::new(q), log_z: (log_z, relative.standard_error()) })
    };
    let days = sequence(&prior, &likelihoods, flow).unwrap();
    let sum: f64 = days.iter().map(|d| d.log_z.0).sum();
    let error = days.iter().map(|d| d.log_z.1.powi(2)).sum::<f64>().sqrt();
    println!(
        "increments {:?}, sum {sum:.4} ± {error:.4}, batch {batch:.4}",
        days.iter().map(|d| d.log_z.0).collect::<Vec<_>>()
    );
    assert!((sum - batch).abs() < 5.0 * error + 0.02, "{sum} ± {error}, batch {batch}");
    // amnesia: each task under the first prior
    let alone: f64 = likelihoods
        .iter()
        .map(|l| {
            let each: Vec<f64> =
                prior.log_density(&grid).iter().zip(l.log_density(&grid)).map(|(p, l)| p + l).collect();
            log_sum_exp(&each) + 0.0016f64.ln()
        })
        .sum();
    println!("without memory {alone:.4}");
    assert!((alone - batch).abs() > 0.3, "{alone} {batch}");
}

/// Checks that tasks of another dimension, values that are not finite, too many tasks, an α or a T out of range and unknown learners are errors in
/// words.
#[test]
fn refusals() {
    let (tasks, model) = (scalars(&DATA), oracle());
    let words = |e: pushforward::Error| e.to_string();
    assert!(words(exact(&scalars(&[0.0; 11]), &model, CRP).unwrap_err()).contains("number of tasks"));
    assert!(words(exact(&tasks, &model, Clusters::Crp { alpha: 0.0 }).unwrap_err()).contains("alpha"));
    let none = Clusters::Sticks { alpha: 1.0, truncation: 0 };
    assert!(words(exact(&tasks, &model, none).unwrap_err()).contains("truncation"));
    assert!(words(exact(&scalars(&[f64::NAN]), &model, CRP).unwrap_err()).contains("observation of task 0"));
    assert!(exact(&tasks, &TaskModel::spherical(2, 0.5, 0.0, 3.0), CRP).is_err());
    assert!(mean_field(&tasks, &model, 1.0, &Matrix::zeros(2, 3)).is_err());
    let typo = StreamSettings { learners: "mixtures".into(), ..StreamSettings::default() };
    assert!(words(course(&typo).unwrap_err()).contains("mixture"));
    assert!(course(&StreamSettings { kind: "images".into(), ..StreamSettings::default() }).is_err());
}
