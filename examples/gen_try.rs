use pushforward::density::*;
use pushforward::linalg::Matrix;
use pushforward::run::Method;
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
fn mixture_of(name: &str) -> Option<GaussianMixture> {
    match by_name(name) {
        Ok(p) if p.mixture().is_none() => None,
        _ => Some(target(name)),
    }
}
fn target(name: &str) -> GaussianMixture {
    match name {
        "grid25" => GaussianMixture::isotropic(
            &[1.0; 25],
            Matrix::from_fn(25, 2, |k, j| 2.0 * (if j == 0 { k / 5 } else { k % 5 }) as f64 - 4.0),
            0.1,
        )
        .unwrap(),
        "far100" => {
            GaussianMixture::isotropic(&[0.9, 0.1], Matrix::from_rows(&[[-50.0, 0.0], [50.0, 0.0]]), 1.0).unwrap()
        }
        "rare" => GaussianMixture::isotropic(
            &[0.001, 0.01, 0.02, 0.469, 0.5],
            Matrix::from_rows(&[[-8.0, 0.0], [0.0, 8.0], [8.0, 0.0], [0.0, -8.0], [0.0, 0.0]]),
            1.0,
        )
        .unwrap(),
        "mix1d" => GaussianMixture::new(
            &[0.2, 0.5, 0.3],
            Matrix::from_rows(&[[-4.0], [0.0], [6.0]]),
            [0.01, 0.25, 1.0].map(|v| Matrix::filled(1, 1, v)).to_vec(),
        )
        .unwrap(),
        "two-scales" => GaussianMixture::new(
            &[0.5, 0.5],
            Matrix::from_rows(&[[0.0, 0.0], [3.0, 3.0]]),
            [25.0, 0.0025].map(|v| Matrix::from_fn(2, 2, |i, j| if i == j { v } else { 0.0 })).to_vec(),
        )
        .unwrap(),
        "pinwheel" => {
            let mut covs = vec![];
            let mut means = Matrix::zeros(5, 2);
            for k in 0..5 {
                let t = k as f64 * 1.2566;
                let (c, s) = (t.cos(), t.sin());
                means[(k, 0)] = 4.0 * c;
                means[(k, 1)] = 4.0 * s;
                let (a, b) = (1.0f64, 0.01f64);
                covs.push(Matrix::from_rows(&[
                    [a * c * c + b * s * s, (a - b) * c * s],
                    [(a - b) * c * s, a * s * s + b * c * c],
                ]));
            }
            GaussianMixture::new(&[1.0; 5], means, covs).unwrap()
        }
        _ => by_name(name).unwrap().mixture().unwrap().clone(),
    }
}
struct Stats {
    masses: Vec<f64>,
    out: f64,
    widths: Vec<f64>,
    width: f64,
}
fn stats(m: &GaussianMixture, x: &Matrix) -> Stats {
    let q = match m.dim() {
        1 => 13.07,
        2 => 16.22,
        3 => 18.8,
        4 => 21.1,
        5 => 23.2,
        _ => 40.0,
    };
    let g = m.responsibilities(x);
    let (n, d, k) = (x.rows(), m.dim(), m.components());
    let (mut masses, mut sq, mut near, mut out) = (vec![0.0; k], vec![0.0; k], vec![0.0; k], 0.0);
    for i in 0..n {
        let c = (0..k).max_by(|&a, &b| g[(i, a)].total_cmp(&g[(i, b)])).unwrap();
        masses[c] += 1.0 / n as f64;
        let mah = |c: usize| {
            let w = &m.whiteners()[c];
            (0..d)
                .map(|a| (0..=a).map(|b| w[(a, b)] * (x[(i, b)] - m.means()[(c, b)])).sum::<f64>().powi(2))
                .sum::<f64>()
        };
        let r = mah(c);
        if r > q {
            out += ((0..k).all(|c| mah(c) > q)) as u8 as f64 / n as f64
        } else {
            sq[c] += r;
            near[c] += 1.0
        }
    }
    let width = sq.iter().sum::<f64>() / near.iter().sum::<f64>();
    Stats { masses, out, widths: sq.iter().zip(&near).map(|(s, n)| s / n).collect(), width }
}
fn set(method: &mut Method, args: &[String]) {
    for a in args {
        if let Some((k, v)) = a.split_once('=') {
            if ["seeds", "hide", "first"].contains(&k) {
                continue;
            }
            match v.parse::<u64>() {
                Ok(n) => method.set(k, n).unwrap(),
                _ => match v.parse::<f64>() {
                    Ok(x) => method.set(k, x).unwrap(),
                    _ => method.set(k, v).unwrap(),
                },
            }
        }
    }
}
fn shape(name: &str, args: &[String]) {
    let p = by_name(name).unwrap();
    let t = Target::of(p.clone());
    let mut method = Method::preset(&std::env::var("PRESET").unwrap_or("generator".into()), &t).unwrap();
    set(&mut method, args);
    let clock = std::time::Instant::now();
    let mut run = match method.start(&t, None) {
        Ok(r) => r,
        Err(e) => {
            println!("{name}: {e}");
            return;
        }
    };
    for tag in ["start", "end"] {
        if tag == "end" {
            if let Err(e) = run.finish() {
                println!("{name}: {e}");
                return;
            }
        }
        let g = run.model_as::<pushforward::model::GeneratorModel<f32>>().unwrap();
        let ex = p.sample(10_000, 5).map(|x| {
            let y = g.generator().sample(10_000, 8, 0);
            let e = p.sample(10_000, 6).unwrap();
            (pushforward::metric::energy_distance(&y, &x), pushforward::metric::energy_distance(&e, &x))
        });
        let k = g.generator().certify(&t.densities[0], 10_000, seed).unwrap();
        println!(
            "{name} {tag} K {} bare {:.4}±{:.4} ess {:.3} k {:.2}; defended {:.4}±{:.4} ess {:.3} k {:.2}; elbo {:.4} {:.4}; true {:?} missed {:.4} energy {:?}; {:.1}s",
            g.generator().latent.codes(),
            k.bare.log_z.value,
            k.bare.log_z.standard_error,
            k.bare.reverse_ess,
            k.bare.pareto_k,
            k.defended.log_z.value,
            k.defended.log_z.standard_error,
            k.defended.reverse_ess,
            k.defended.pareto_k,
            k.elbo[0].value,
            k.elbo[1].value,
            p.log_normaliser(),
            k.search.unwrap().missed.value,
            ex,
            clock.elapsed().as_secs_f64()
        );
    }
}
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&String> = args.iter().filter(|a| !a.contains('=')).collect();
    let mut seeds = 1u64;
    let mut hide = true;
    let mut first = 0;
    for name in names {
        let Some(m) = mixture_of(name) else {
            shape(name, &args);
            continue;
        };
        let truth = stats(&m, &m.sample(400_000, 99).unwrap());
        for a in &args {
            if let Some(v) = a.strip_prefix("seeds=") {
                seeds = v.parse().unwrap()
            }
            if a == "hide=0" {
                hide = false
            }
            if let Some(v) = a.strip_prefix("first=") {
                first = v.parse().unwrap()
            }
        }
        for seed in first..first + seeds {
            let p: Arc<dyn Density> = if hide { Arc::new(Hidden(Arc::new(m.clone()))) } else { Arc::new(m.clone()) };
            let t = Target::of(p);
            let mut method = Method::preset(&std::env::var("PRESET").unwrap_or("generator".into()), &t).unwrap();
            method.run.seed = seed;
            for a in &args {
                if let Some((k, v)) = a.split_once('=') {
                    if ["seeds", "hide", "first"].contains(&k) {
                        continue;
                    }
                    match v.parse::<u64>() {
                        Ok(n) => method.set(k, n).unwrap(),
                        _ => match v.parse::<f64>() {
                            Ok(x) => method.set(k, x).unwrap(),
                            _ => method.set(k, v).unwrap(),
                        },
                    }
                }
            }
            let clock = std::time::Instant::now();
            let mut run = match method.start(&t, None) {
                Ok(r) => r,
                Err(e) => {
                    println!("{name} {seed}: {e}");
                    continue;
                }
            };
            let s0 = clock.elapsed().as_secs_f64();
            let show = |tag: &str, run: &pushforward::run::Run, secs: f64| {
                let s = stats(&m, &run.sample(200_000, 7, 0));
                let tv = 0.5 * s.masses.iter().zip(&truth.masses).map(|(a, b)| (a - b).abs()).sum::<f64>();
                let modes = s.masses.iter().zip(&truth.masses).filter(|(a, b)| **a > 0.2 * **b).count();
                let worst = s
                    .widths
                    .iter()
                    .zip(&truth.widths)
                    .zip(&truth.masses)
                    .filter(|(_, m)| **m > 0.005)
                    .map(|((a, b), _)| a / b - 1.0)
                    .fold(0.0f64, |a, b| if b.abs() > a.abs() { b } else { a });
                println!(
                    "{name:10} {seed} {tag} modes {modes}/{} TV {tv:.4} beyond {:.3}% (exact {:.3}%) width {:.3} worst {:+.3} {secs:.1}s",
                    s.masses.len(),
                    100.0 * s.out,
                    100.0 * truth.out,
                    s.width / truth.width,
                    worst
                );
            };
            show("start", &run, s0);
            if let Err(e) = run.finish() {
                println!("{name} {seed}: {e}");
                continue;
            }
            show("end  ", &run, clock.elapsed().as_secs_f64());
            let g = run.model_as::<pushforward::model::GeneratorModel<f32>>().unwrap();
            let c = std::time::Instant::now();
            match g.generator().certify(&t.densities[0], 10_000, 0) {
                Ok(k) => {
                    println!(
                        "   cert bare {:.4}±{:.4} ess {:.3} k {:.2}; defended {:.4}±{:.4} ess {:.3} k {:.2}; elbo {:.4} {:.4}; {:.1}s",
                        k.bare.log_z.value,
                        k.bare.log_z.standard_error,
                        k.bare.reverse_ess,
                        k.bare.pareto_k,
                        k.defended.log_z.value,
                        k.defended.log_z.standard_error,
                        k.defended.reverse_ess,
                        k.defended.pareto_k,
                        k.elbo[0].value,
                        k.elbo[1].value,
                        c.elapsed().as_secs_f64()
                    );
                    println!("   search {:?}", k.search);
                }
                Err(e) => println!("{e}"),
            }
        }
    }
}
