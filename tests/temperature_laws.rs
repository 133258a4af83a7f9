//! One law for flows on families of temperatures: log Z(β) without bias, and its slope, whatever the flow has learnt.

use pushforward::density::{Chart, Constrained, Density, GaussianMixture, Node, Phi4, Support, Target, Temperatures};
use pushforward::linalg::Matrix;
use pushforward::metric::Estimate;
use pushforward::model::FlowModel;
use pushforward::model::flow::{AtTemperature, Flow};
use pushforward::run::Method;
use pushforward::search::temperatures;
use std::f64::consts::TAU;
use std::sync::Arc;

/// β in these bounds, and d free coordinates.
fn chart(d: usize) -> Chart {
    let beta = Support::Interval { low: 0.25, high: 1.0 };
    Chart::new([vec![beta], vec![Support::Real; d]].concat()).unwrap()
}

/// A short training on the family.
fn trained(family: &Temperatures, steps: usize) -> Flow<f64> {
    let d = family.dim() - 1;
    let target = Target::of(Arc::new(Constrained::new(Arc::new(family.clone()), chart(d)).unwrap()));
    let mut method = Method::preset("flow", &target).unwrap();
    for (key, value) in [("steps", steps), ("batch", 256), ("couplings", 2), ("search_particles", 1024)] {
        method.set(key, value).unwrap();
    }
    let mut run = method.with("hidden", vec![16]).unwrap().start(&target, None).unwrap();
    run.finish().unwrap();
    run.model_as::<FlowModel<f32>>().unwrap().flow().cast()
}

/// The flow's coordinate of β.
fn coordinate(beta: f64) -> pushforward::Result<f64> {
    Ok(chart(1).free(&Matrix::from_rows(&[[beta, 0.0]]))?[(0, 0)])
}

/// N(0, s²)^β: log Z(β) = (1 - β)/2 log(2 π s²) - ½ log β, E_β[log p] = -½ log(2 π s²) - 1/2β.
fn gaussian(s: f64) -> (Temperatures, impl Fn(f64) -> [f64; 2]) {
    let c = (TAU * s * s).ln();
    let exact = move |beta: f64| [0.5 * (1.0 - beta) * c - 0.5 * beta.ln(), -0.5 * c - 0.5 / beta];
    let p = GaussianMixture::isotropic(&[1.0], Matrix::from_rows(&[[0.0]]), s).unwrap();
    let node = |beta: f64| Node { beta, log_z: exact(beta)[0], mean_log_density: exact(beta)[1] };
    (Temperatures::new(Arc::new(p), [0.25, 0.5, 1.0].map(node).to_vec()).unwrap(), exact)
}

fn z(found: Estimate, exact: f64) -> f64 {
    (found.value - exact) / found.standard_error
}

/// Checks log Z(β) and E_β[log p~] against closed forms, and that the slope of the one is the other, within 4 standard errors (36 numbers:
/// fails by chance in 1 of 440), for a Gaussian and the φ⁴ ring of four sites, of flows after 20 and 200 steps. That the law bites: the
/// values of another β are more than 6 errors off.
#[test]
fn log_z_and_its_slope() {
    let (family, exact) = gaussian(0.5);
    for steps in [20, 200] {
        let flow = trained(&family, steps);
        for beta in [0.3, 0.55, 0.9] {
            let at = AtTemperature::of(&flow, &family, &coordinate, beta, (20_000, 3)).unwrap();
            assert_eq!(at.exact, None);
            let [log_z, mean] = exact(beta);
            let numbers = [z(at.log_z, log_z), z(at.mean_log_density, mean), z(at.slope_gap, 0.0)];
            assert!(numbers.iter().all(|z| z.abs() < 4.0), "{steps} steps, beta = {beta}: {numbers:?}, {at:?}");
            assert!(z(at.log_z, exact(0.5 * beta)[0]).abs() > 6.0, "{beta}");
        }
    }
    let ring: Arc<dyn Density> = Arc::new(Phi4::new(4).unwrap());
    let family = temperatures(&ring, 0.25, 1.0, 0).unwrap();
    let flow = trained(&family, 200);
    let coordinate = |beta: f64| {
        let mut x = Matrix::zeros(1, 5);
        x[(0, 0)] = beta;
        Ok(chart(4).free(&x)?[(0, 0)])
    };
    for beta in [0.3, 0.55, 0.9] {
        let at = AtTemperature::of(&flow, &family, &coordinate, beta, (20_000, 3)).unwrap();
        let numbers = [z(at.log_z, at.exact.unwrap()), z(at.slope_gap, 0.0)];
        assert!(numbers.iter().all(|z| z.abs() < 4.0), "beta = {beta}: {numbers:?}, {at:?}");
    }
}
