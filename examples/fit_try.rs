use pushforward::density::*;
use pushforward::linalg::Matrix;
use pushforward::search::*;
use std::sync::Arc;
struct Hidden(Arc<dyn Density>);
impl Density for Hidden {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.0.log_density_into(x, out)
    }
    fn evaluate_into(&self, x: &Matrix, l: &mut [f64], s: &mut Matrix) {
        self.0.evaluate_into(x, l, s)
    }
}
fn main() {
    let k: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    for name in std::env::args().skip(2) {
        for seed in 0..2u64 {
            let p: Arc<dyn Density> = Arc::new(Hidden(by_name(&name).unwrap()));
            let t = std::time::Instant::now();
            let found = match search(&*p, &SearchSettings { particles: 8192, seed, start: None }) {
                Ok(f) => f,
                Err(e) => {
                    println!("{name}: {e}");
                    continue;
                }
            };
            let t1 = t.elapsed().as_secs_f64();
            let frame = found.frame().unwrap();
            let y = frame.standardise(&found.particles);
            let q: Arc<dyn Density> = Arc::new(Standardised::new(p, frame).unwrap());
            let m = fit_mixture(&y, k, seed);
            let t2 = t.elapsed().as_secs_f64();
            let c = m.components();
            let (m, ess) = refine(m, &*q, seed).unwrap();
            let t3 = t.elapsed().as_secs_f64();
            println!(
                "{name:14} seed {seed} search {t1:.2} calls {} logZ {:.4} {:.4}; fit {:.2} K {c}; refine {:.2} K {} ess {ess:.4}",
                found.calls,
                found.log_z,
                found.log_z_error,
                t2 - t1,
                t3 - t2,
                m.components()
            );
        }
    }
}
