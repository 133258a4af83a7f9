//! The shape of the traits, tried by toy members of each kind that differs: none of them needs a change of a file that exists.

use pushforward::autodiff::Tape;
use pushforward::density::{Affine, Density, Domain, GaussianMixture, Target, WeightedSamples, evaluate};
use pushforward::divergence::ReverseKl;
use pushforward::estimate::{Estimator, Kde, Law, Noise, Noised, NoisedTarget, SmoothedTarget};
use pushforward::linalg::{Cholesky, Matrix};
use pushforward::model::{Drawn, Model, Particles, ParticlesSettings, Request, Step};
use pushforward::nn::{Adam, AdamState, Mlp, Parameters};
use pushforward::rng::{Purpose, normal_matrix, stream};
use pushforward::run::Run;
use pushforward::state::{State, Stateful};
use pushforward::velocity::{Field, Figure, Kind, Pull, Scene, UniversalDrift, Velocity};
use pushforward::{Error, Result};
use std::any::Any;
use std::sync::Arc;

fn particles(start: Matrix, domain: Domain, dt: f64) -> Box<Particles> {
    Box::new(Particles::new(start, domain, ParticlesSettings { dt, ..Default::default() }).unwrap())
}

/// A velocity that trains a network in `prepare`: s ≈ ∇ log q by denoising score matching at noise [`SIGMA`], V = s_p - s.
struct Learned {
    target: Arc<dyn Density>,
    network: Mlp,
    parameters: Parameters<f64>,
    adam: AdamState<f64>,
}

/// Noise of the denoising.
const SIGMA: f64 = 0.5;

impl Learned {
    fn new(target: Arc<dyn Density>) -> Self {
        let network = Mlp::new(vec![1, 16, 1]);
        let mut rng = stream(1, Purpose::Initialise, 0);
        let parameters: Parameters<f64> =
            network.initialise(&mut rng).into_iter().map(|m| Arc::new(m.into())).collect();
        Self { target, adam: AdamState::new(&parameters), network, parameters }
    }

    fn score(&self, x: &Matrix) -> Matrix {
        let tape = Tape::new();
        let p: Vec<_> = self.parameters.iter().map(|p| tape.parameter(p)).collect();
        self.network.forward(&p, tape.leaf(x)).value()
    }
}

impl Stateful for Learned {
    fn save(&self, to: &mut State) {
        to.put_parameters(&self.network.parameter_names(), &self.parameters, &self.adam);
    }
    fn restore(&mut self, from: &State) -> Result<()> {
        (self.parameters, self.adam) = from.parameters(&self.network.parameter_names(), &self.parameters)?;
        Ok(())
    }
}

impl Velocity for Learned {
    fn name(&self) -> &str {
        "learned"
    }
    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        let n = scene.x.rows();
        for k in 0..40 {
            let noise: Matrix = normal_matrix(scene.seed, Purpose::Jitter, 40 * scene.clock.step + k, n, 1);
            let mut y = scene.x.clone();
            y.add_scaled(SIGMA, &noise);
            let tape = Tape::new();
            let p: Vec<_> = self.parameters.iter().map(|p| tape.parameter(p)).collect();
            let loss = (self.network.forward(&p, tape.leaf(&y)) + tape.leaf(&noise) * (1.0 / SIGMA)).square();
            let gradients = tape.gradient(loss.sum() * (1.0 / n as f64), &p);
            let gradients: Vec<Matrix> = gradients.iter().map(|g| g.value()).collect();
            drop(p);
            drop(tape);
            Adam::default().step(&mut self.parameters, &gradients, &mut self.adam, 1e-2);
        }
        Ok(())
    }
    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let mut v = evaluate(&*self.target, scene.x)?.score;
        v.add_scaled(-1.0, &self.score(scene.x));
        Ok(Pull::Points(Field::of(v)))
    }
}

/// Checks that a velocity may train a network from step to step: after a hundred steps the slope of its score is that of the exact
/// minimiser, the kernel estimate of bandwidth σ, to within 20 %, and a run that is resumed in the middle has the bits of one that never stopped.
#[test]
fn a_velocity_that_trains_a_network() {
    let target: Arc<dyn Density> = Arc::new(GaussianMixture::gaussian(&[0.0], Matrix::from_rows(&[[1.25]])).unwrap());
    let start: Matrix = normal_matrix(3, Purpose::Check, 0, 400, 1);
    let begin = || {
        let (model, velocity) = (particles(start.clone(), Domain::Euclidean, 1e-3), Learned::new(Arc::clone(&target)));
        Run::new(model, Box::new(velocity), 100, 5).unwrap()
    };
    let mut run = begin();
    (0..40).for_each(|_| drop(run.step().unwrap()));
    let middle = run.state();
    run.finish().unwrap();
    let mut again = begin();
    again.restore(&middle).unwrap();
    again.finish().unwrap();
    assert_eq!(run.state(), again.state());
    let mut velocity = Learned::new(target);
    velocity.restore(&run.state().part("velocity")).unwrap();
    let ends = Matrix::from_rows(&[[-1.0], [1.0]]);
    let slope = |score: Matrix| (score[(1, 0)] - score[(0, 0)]) / 2.0;
    let exact = Kde::new(&run.sample(400, 0, 0), SIGMA).unwrap().evaluate(&ends).score;
    let (found, exact) = (slope(velocity.score(&ends)), slope(exact));
    assert!((found / exact - 1.0).abs() < 0.2, "{found} {exact}");
}

/// A velocity that sees samples and no density: towards their mean.
struct TowardsMean(Vec<f64>);

impl Stateful for TowardsMean {}

impl Velocity for TowardsMean {
    fn name(&self) -> &str {
        "towards-mean"
    }
    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let (n, d) = scene.x.shape();
        Ok(Pull::Points(Field::of(Matrix::from_fn(n, d, |i, j| self.0[j] - scene.x[(i, j)]))))
    }
}

/// Checks that a target may be samples alone: the mean of the particles goes to that of the samples as (1 - η)ᵏ, exactly.
#[test]
fn samples_without_a_density() {
    let points = normal_matrix(1, Purpose::Check, 0, 50, 2).map(|x: f64| x + 3.0);
    let target = Target::of_samples(WeightedSamples::equal(points.clone()));
    target.check().unwrap();
    let mean = target.samples.as_ref().unwrap().points.column_means();
    let start: Matrix = normal_matrix(1, Purpose::Check, 1, 30, target.dim());
    let mut run =
        Run::new(particles(start.clone(), target.domain.clone(), 0.5), Box::new(TowardsMean(mean.clone())), 20, 0)
            .unwrap();
    run.finish().unwrap();
    for ((x, m), s) in run.sample(30, 0, 0).column_means().iter().zip(&mean).zip(start.column_means()) {
        assert!((x - m - (s - m) * 0.5f64.powi(20)).abs() < 1e-14 * 30.0, "{x} {m}");
    }
}

/// A velocity with several targets: the mean of their scores.
struct MeanScore(Vec<Arc<dyn Density>>);

impl Stateful for MeanScore {}

impl Velocity for MeanScore {
    fn name(&self) -> &str {
        "mean-score"
    }
    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let mut v = Matrix::zeros(scene.x.rows(), scene.x.cols());
        for p in &self.0 {
            v.add_scaled(1.0 / self.0.len() as f64, &evaluate(&**p, scene.x)?.score);
        }
        Ok(Pull::Points(Field::of(v)))
    }
}

/// Checks that a target may be several densities: particles along the mean score of N(±1, 1) end at 0, the only point where it vanishes;
/// and that densities of different dimension are refused by their sizes.
#[test]
fn several_densities() {
    let at = |m: f64| Arc::new(GaussianMixture::gaussian(&[m], Matrix::identity(1)).unwrap()) as Arc<dyn Density>;
    let target = Target { densities: vec![at(-1.0), at(1.0)], ..Target::default() };
    target.check().unwrap();
    let velocity = MeanScore(target.densities.clone());
    let mut run =
        Run::new(particles(Matrix::from_rows(&[[4.0], [-2.0]]), Domain::Euclidean, 0.5), Box::new(velocity), 60, 0)
            .unwrap();
    run.finish().unwrap();
    assert!(run.sample(2, 0, 0).as_slice().iter().all(|x| x.abs() < 1e-15));
    let wide = Arc::new(GaussianMixture::standard(3).unwrap()) as Arc<dyn Density>;
    let mixed = Target { densities: vec![at(0.0), wide], ..Target::default() };
    assert!(matches!(mixed.check(), Err(Error::Dimension { expected: 1, found: 3, .. })));
}

/// A constant velocity.
struct Drift(f64);

impl Stateful for Drift {}

impl Velocity for Drift {
    fn name(&self) -> &str {
        "constant"
    }
    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        Ok(Pull::Points(Field::of(scene.x.map(|_| self.0))))
    }
}

/// Checks that particles on a torus stay in [0, period) and go round it, and that mean-free particles stay mean-free.
#[test]
fn a_periodic_domain() {
    let start = Matrix::from_rows(&[[0.25, 1.75], [0.5, 0.5]]);
    let mut run = Run::new(particles(start, Domain::Torus(vec![1.0, 2.0]), 0.125), Box::new(Drift(1.0)), 7, 0).unwrap();
    for _ in 0..7 {
        run.step().unwrap();
        let inside = |row: &[f64]| (0.0..1.0).contains(&row[0]) && (0.0..2.0).contains(&row[1]);
        assert!(run.sample(2, 0, 0).iter_rows().all(inside));
    }
    // exact: eighths
    assert_eq!(run.sample(2, 0, 0), Matrix::from_rows(&[[0.125, 0.625], [0.375, 1.375]]));
    let free = Domain::MeanFree { particles: 3, dim: 1 };
    let mut run =
        Run::new(particles(Matrix::from_rows(&[[1.0, 2.0, 6.0]]), free, 1.0), Box::new(Drift(4.0)), 5, 0).unwrap();
    run.finish().unwrap();
    assert_eq!(run.sample(1, 0, 0), Matrix::from_rows(&[[-2.0, -1.0, 3.0]]));
    let bad = Particles::new(Matrix::zeros(2, 3), Domain::Torus(vec![1.0]), ParticlesSettings::default());
    assert!(matches!(bad.err(), Some(Error::Dimension { expected: 3, found: 1, .. })));
}

/// A preconditioned step: half of Newton's towards the minimum of ½ xᵀHx, with a length of its own choice.
struct Newton(Matrix);

impl Stateful for Newton {}

impl Velocity for Newton {
    fn name(&self) -> &str {
        "newton"
    }
    fn kind(&self) -> Kind {
        Kind::Displacement
    }
    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let (n, d) = scene.x.shape();
        let times = |m: &Matrix, x: &[f64], j: usize| m.row(j).iter().zip(x).map(|(m, x)| m * x).sum::<f64>();
        let gradient = Matrix::from_fn(n, d, |i, j| times(&self.0, scene.x.row(i), j));
        let inverse = Cholesky::factor(&self.0, "the Hessian")?.inverse();
        let by = Matrix::from_fn(n, d, |i, j| -0.5 * times(&inverse, gradient.row(i), j));
        Ok(Pull::Displacement { by, accepted: 0.5, figures: Vec::new() })
    }
}

/// Checks that a preconditioned step moves particles by its own length, whatever their dt: half the way to the minimum each time, for a
/// full Hessian of condition 10⁴. Rounding is at most the condition times ε of the size, 5 · 10⁴ · 2e-16, in each of 4 steps.
#[test]
fn a_preconditioned_step() {
    let hessian = Matrix::from_rows(&[[5000.5, 4999.5], [4999.5, 5000.5]]);
    let start = Matrix::from_rows(&[[3.0, -5.0]]);
    let mut run = Run::new(particles(start, Domain::Euclidean, 123.0), Box::new(Newton(hessian)), 4, 0).unwrap();
    run.finish().unwrap();
    let end = run.sample(1, 0, 0);
    assert!((end[(0, 0)] - 3.0 / 16.0).abs() < 4e-11 && (end[(0, 1)] + 5.0 / 16.0).abs() < 4e-11, "{end:?}");
}

/// A toy estimator: the particles taken for N(their mean, I).
struct UnitGaussian;

impl Stateful for UnitGaussian {}

impl Estimator for UnitGaussian {
    fn name(&self) -> &'static str {
        "unit-gaussian"
    }
    fn noised(&self, scene: &Scene, _: &dyn NoisedTarget) -> Result<Noised> {
        let (n, d) = scene.x.shape();
        let mean = scene.sample().column_means();
        let score = Matrix::from_fn(n, d, |i, j| mean[j] - scene.x[(i, j)]);
        let log_density = score.iter_rows().map(|s| -0.5 * s.iter().map(|s| s * s).sum::<f64>()).collect();
        let noise = vec![Noise { a: 1.0, s: 0.0 }; n];
        Ok(Noised { y: scene.x.clone(), noise, q: Law { log_density, score }, p: None, trust: vec![1.0; n] })
    }
}

/// A toy model: x = θ + z, z ~ N(0, I); only θ moves, by dt times the mean velocity.
struct Shift {
    frame: Affine,
    theta: Matrix,
}

/// Points of a step of [`Shift`].
const POINTS: usize = 16;
/// Length of a step of [`Shift`].
const DT: f64 = 0.25;

impl Shift {
    fn points(&self, n: usize, key: (u64, Purpose, u64)) -> Matrix {
        let z: Matrix = normal_matrix(key.0, key.1, key.2, n, self.theta.cols());
        Matrix::from_fn(n, z.cols(), |i, j| self.theta[(0, j)] + z[(i, j)])
    }
}

impl Stateful for Shift {
    fn save(&self, to: &mut State) {
        to.put("theta", &self.theta);
    }
    fn restore(&mut self, from: &State) -> Result<()> {
        self.theta = from.matrix::<f64>("theta", self.theta.shape())?.clone();
        Ok(())
    }
}

impl Model for Shift {
    fn name(&self) -> &'static str {
        "shift"
    }
    fn frame(&self) -> &Affine {
        &self.frame
    }
    fn follows(&self) -> &'static [Kind] {
        &[Kind::Points]
    }
    fn draw(&mut self, request: &Request) -> Result<Drawn> {
        let x = self.points(POINTS, (request.seed, Purpose::Latent, request.clock.step));
        Ok(Drawn { x, reference: None, at_x: None, classes: None })
    }
    fn follow(&mut self, step: Step<'_>) -> Result<Vec<Figure>> {
        let Pull::Points(field) = step.pull else { return Err(Error::Diverged { step: step.clock.step }) };
        let mean = field.velocity.column_means();
        self.theta.row_mut(0).iter_mut().zip(mean).for_each(|(t, v)| *t += DT * v);
        Ok(Vec::new())
    }
    fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix {
        self.points(n, (seed, Purpose::Sample, block))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Checks that a model and an estimator may be new too. With the estimator's score the drift of reverse KL towards N(b, I) is b - mean at
/// every point, mean = θ + that of z, so θ follows θ' = θ + dt (b - θ - mean of z), an independent recursion, to rounding; a run that is
/// resumed after any step has the bits of one that never stopped; and a velocity that it cannot follow is refused by both names.
#[test]
fn a_model_and_an_estimator() {
    let (b, steps) = ([2.0, -1.0], 12);
    let target: Arc<dyn Density> = Arc::new(GaussianMixture::gaussian(&b, Matrix::identity(2)).unwrap());
    let model = || Box::new(Shift { frame: Affine::identity(2), theta: Matrix::zeros(1, 2) });
    let begin = || {
        let noised = Box::new(SmoothedTarget::new(Arc::clone(&target), 2));
        let drift = UniversalDrift::new(noised, Box::new(UnitGaussian), Arc::new(ReverseKl));
        Run::new(model(), Box::new(drift), steps, 5).unwrap()
    };
    let (mut run, mut theta, mut states) = (begin(), [0.0; 2], Vec::new());
    for step in 0..steps {
        states.push(run.state());
        run.step().unwrap();
        let z: Matrix = normal_matrix(5, Purpose::Latent, step, POINTS, 2);
        let mean = z.column_means();
        (0..2).for_each(|j| theta[j] += DT * (b[j] - theta[j] - mean[j]));
    }
    let found = &run.model_as::<Shift>().unwrap().theta;
    assert!((0..2).all(|j| (found[(0, j)] - theta[j]).abs() < 1e-13), "{found:?} {theta:?}");
    for saved in &states {
        let mut again = begin();
        again.restore(saved).unwrap();
        again.finish().unwrap();
        assert_eq!(again.state(), run.state());
    }
    let refused = Run::new(model(), Box::new(Newton(Matrix::identity(2))), 1, 0).err().unwrap().to_string();
    assert!(refused.contains("'newton'") && refused.contains("'shift'"), "{refused}");
}
