//! Every density under test, with the geometry that the checks need.

use pushforward::density::*;
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, normal_matrix};
use std::sync::Arc;

/// A density with what the checks need to know about its geometry.
pub struct Member {
    pub name: String,
    pub density: Arc<dyn Density>,
    /// The smallest length on which it varies where its mass is.
    pub length: f64,
    /// How quadrature covers its mass, where d ≤ 2.
    pub grid: Option<Grid>,
}

/// The trapezium rule in coordinates u ∈ Π [low_j, high_j], x = chart(u).0, dx = exp(chart(u).1) du.
pub struct Grid {
    pub low: Vec<f64>,
    pub high: Vec<f64>,
    pub step: f64,
    pub chart: fn(&[f64]) -> (Vec<f64>, f64),
    /// u of a point x: test functions are functions of u, so that the grid resolves them.
    pub inverse: fn(&[f64]) -> Vec<f64>,
}

fn identity(u: &[f64]) -> (Vec<f64>, f64) {
    (u.to_vec(), 0.0)
}

/// Funnel-2 in its own units: x₀ = 3a, x₁ = e^(3a/2) b.
fn funnel_chart(u: &[f64]) -> (Vec<f64>, f64) {
    (vec![3.0 * u[0], (1.5 * u[0]).exp() * u[1]], 3f64.ln() + 1.5 * u[0])
}

fn funnel_inverse(x: &[f64]) -> Vec<f64> {
    vec![x[0] / 3.0, (-0.5 * x[0]).exp() * x[1]]
}

/// A grid in the density's own coordinates.
fn plain(low: &[f64], high: &[f64], step: f64) -> Option<Grid> {
    let inverse = |x: &[f64]| x.to_vec();
    Some(Grid { low: low.to_vec(), high: high.to_vec(), step, chart: identity, inverse })
}

pub fn square(half: f64, step: f64) -> Option<Grid> {
    plain(&[-half; 2], &[half; 2], step)
}

/// Grids reach 8 standard deviations or more beyond the mass (2e-15 outside) and step at most half of the smallest standard deviation
/// s: the trapezium rule then errs by 2 exp(-2π² s²/step²) < 1e-33 on a Gaussian of that width.
pub fn geometry(name: &str) -> (f64, Option<Grid>) {
    match name {
        "gmm9" | "gmm9u" => (0.5, square(10.0, 0.2)),
        "ring8" => (0.5, square(9.0, 0.2)),
        "gmm40" => (1.3, square(55.0, 0.5)),
        "banana" => (1.0, plain(&[-85.0, -220.0], &[85.0, 15.0], 0.5)),
        "two-moons" => (0.15, square(4.5, 0.05)),
        "many-well-2" => (0.2, square(9.0, 0.1)),
        "many-well-32" => (0.2, None),
        "funnel-2" => (0.3, square(9.0, 0.5).map(|g| Grid { chart: funnel_chart, inverse: funnel_inverse, ..g })),
        "funnel-10" => (0.3, None),
        "phi4-8" | "phi4-32" => (0.2, None),
        "dw4" => (0.3, None),
        // the checks see normal points, some with pairs far up the wall
        "lj13" => (0.01, None),
        "lj55" => (0.003, None),
        other => panic!("say in `geometry` how to integrate the new target {other}"),
    }
}

/// Three components with correlated covariances of different sizes, in 2-D or 3-D.
fn correlated(d: usize) -> GaussianMixture {
    let root = |k: usize| {
        let random: Matrix = normal_matrix(5, Purpose::Check, k as u64, d, d);
        Matrix::from_fn(d, d, |i, j| 0.3 * (1.0 + k as f64) * random[(i, j)] + if i == j { 1.0 } else { 0.0 })
    };
    let covariance = |r: Matrix| {
        Matrix::from_fn(d, d, |i, j| {
            (0..d).map(|k| r[(i, k)] * r[(j, k)]).sum::<f64>() + if i == j { 0.2 } else { 0.0 }
        })
    };
    let means = Matrix::from_fn(3, d, |k, j| 2.5 * (k as f64 - 1.0) * if j == 0 { 1.0 } else { -0.5 });
    GaussianMixture::new(&[1.0, 2.0, 3.0], means, (0..3).map(|k| covariance(root(k))).collect()).unwrap()
}

fn named(name: &str) -> Arc<dyn Density> {
    by_name(name).unwrap()
}

/// log p~ of the banana written by hand, and the same on the tape.
fn banana_by_hand() -> Arc<dyn Density> {
    let v = |x: &[f64]| x[1] + 0.03 * (x[0] * x[0] - 100.0);
    Arc::new(Handwritten::new(
        2,
        move |x| -0.5 * (0.01 * x[0] * x[0] + v(x) * v(x)),
        move |x, score| {
            score[0] = -0.01 * x[0] - 0.06 * x[0] * v(x);
            score[1] = -v(x);
        },
    ))
}

fn banana_on_tape() -> Arc<dyn Density> {
    Arc::new(TapeDensity::new(2, |x| {
        let (a, b) = (x.column(0), x.column(1));
        let v = b + (a.square() + -100.0) * 0.03;
        (a.square() * 0.01 + v.square()) * -0.5
    }))
}

/// Made-up data: an intercept, one column, and a response that depends on it.
fn data(n: usize) -> (Matrix, Vec<f64>) {
    let random: Matrix = normal_matrix(6, Purpose::Check, 0, n, 2);
    let design = Matrix::from_fn(n, 2, |i, j| if j == 0 { 1.0 } else { random[(i, 0)] });
    (design, random.iter_rows().map(|r| 0.5 + r[0] + 0.7 * r[1]).collect())
}

/// Every density: all targets, then mixtures and wrappers of each kind.
pub fn members() -> Vec<Member> {
    let mut all: Vec<Member> = all_densities()
        .iter()
        .flat_map(Entry::names)
        .map(|name| {
            let (length, grid) = geometry(&name);
            Member { density: named(&name), name, length, grid }
        })
        .collect();
    let mut add = |name: &str, density: Arc<dyn Density>, length: f64, grid: Option<Grid>| {
        all.push(Member { name: name.into(), density, length, grid });
    };
    let estimate = |name: &str, h: f64| Arc::new(SmoothedEstimate::new(named(name), h, 16, 3, 7).unwrap());
    let units = |name: &str, centre: Vec<f64>, s: f64| {
        Arc::new(Standardised::new(named(name), Affine::new(centre, s).unwrap()).unwrap())
    };
    add("correlated-2", Arc::new(correlated(2)), 0.4, square(25.0, 0.2));
    add("correlated-3", Arc::new(correlated(3)), 0.4, None);
    add("normal-1", Arc::new(GaussianMixture::standard(1).unwrap()), 1.0, plain(&[-10.0], &[10.0], 0.5));
    add("tempered two-moons", Arc::new(Tempered::new(named("two-moons"), 0.3).unwrap()), 0.3, None);
    add("standardised gmm40", units("gmm40", vec![-2.0, 1.0], 23.0), 0.06, square(2.6, 0.02));
    add("standardised two-moons", units("two-moons", vec![0.5, -1.0], 2.0), 0.08, square(3.0, 0.025));
    add("smoothed gmm9u", named("gmm9u").smoothed(0.7).unwrap(), 0.8, square(13.0, 0.4));
    add(
        "smoothed standardised gmm40",
        units("gmm40", vec![-2.0, 1.0], 23.0).smoothed(0.1).unwrap(),
        0.1,
        square(3.2, 0.05),
    );
    add("estimate of smoothed two-moons", estimate("two-moons", 0.3), 0.15, square(6.0, 0.05));
    add("estimate of smoothed many-well-32", estimate("many-well-32", 0.1), 0.2, None);
    let (design, response) = data(60);
    let classes: Vec<f64> = response.iter().map(|y| f64::from(*y > 0.0)).collect();
    add("logistic regression", Arc::new(LogisticRegression::new(design.clone(), classes, 2.0).unwrap()), 0.5, None);
    let chart = Chart::new(vec![Support::Real, Support::Real, Support::Interval { low: 0.0, high: f64::INFINITY }]);
    let linear = Arc::new(LinearRegression::new(design.clone(), response.clone(), 2.0, 1.5).unwrap());
    add("linear regression", Arc::new(Constrained::new(linear, chart.unwrap()).unwrap()), 0.1, None);
    let known = LinearRegression::with_known_noise(&design, &response, 2.0, 0.7).unwrap();
    add("linear regression, known noise", Arc::new(known), 0.1, square(4.0, 0.02));
    // tails of degree 5: no grid reaches the mass to 1e-10
    add("students at correlated-2", Arc::new(StudentMixture::new(correlated(2))), 0.4, None);
    let defended = |d: usize| {
        let far = GaussianMixture::isotropic(&[1.0], Matrix::from_fn(1, d, |_, _| 2.0), 3.0).unwrap();
        Arc::new(Defended::new(Arc::new(correlated(d)), StudentMixture::new(far), 0.3).unwrap())
    };
    add("defended correlated-2", defended(2), 0.4, None);
    add("defended correlated-3", defended(3), 0.4, None);
    let nodes = [(0.3, 4.0), (0.6, 2.0), (1.1, 0.0)];
    let nodes = nodes.map(|(beta, log_z)| Node { beta, log_z, mean_log_density: -3.0 }).to_vec();
    let family = Temperatures::new(named("two-moons"), nodes).unwrap();
    let beta = Support::Interval { low: 0.3, high: 1.1 };
    let chart = Chart::new(vec![beta, Support::Real, Support::Real]).unwrap();
    add("two-moons at temperatures", Arc::new(Constrained::new(Arc::new(family), chart).unwrap()), 0.3, None);
    add("handwritten banana", banana_by_hand(), 1.0, None);
    add("banana on the tape", banana_on_tape(), 1.0, None);
    all
}
