use pushforward::density::*;
use pushforward::divergence::*;
use pushforward::linalg::*;
use pushforward::sampler::*;
use pushforward::velocity::*;
use std::sync::Arc;
fn arg(name: &str, default: f64) -> f64 {
    for a in std::env::args() {
        if let Some(v) = a.strip_prefix(&format!("{name}=")) {
            return v.parse().unwrap();
        }
    }
    default
}
fn modes(m: &GaussianMixture, x: &Matrix, truth: Option<&Vec<f64>>) -> (usize, f64, f64, f64, Vec<f64>) {
    let k = m.components();
    let d = m.means().cols() as f64;
    let mut c = vec![0.0; k];
    let mut out = 0.0;
    let mut vr = 0.0;
    let mut nv = 0.0;
    for row in x.iter_rows() {
        let mut best = (f64::MAX, 0);
        for j in 0..k {
            let s = m.covariances()[j][(0, 0)];
            let r2: f64 = row.iter().zip(m.means().row(j)).map(|(a, b)| (a - b) * (a - b) / s).sum();
            if r2 < best.0 {
                best = (r2, j);
            }
        }
        c[best.1] += 1.0 / x.rows() as f64;
        if best.0 > 16.0 {
            out += 1.0 / x.rows() as f64;
        } else {
            vr += best.0 / d;
            nv += 1.0;
        }
    }
    let w = m.weights().to_vec();
    let t = truth.unwrap_or(&w);
    let tv: f64 = c.iter().zip(t).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
    let cov = c.iter().zip(t).filter(|(a, b)| **a > 0.2 * *b).count();
    (cov, tv, out, vr / nv, c)
}
fn main() {
    let name = std::env::args().nth(1).unwrap();
    let target = by_name(&name).unwrap();
    let m = target.mixture().unwrap().clone();
    let mean = m.mean();
    let cov = m.covariance();
    let d = mean.len();
    let scale = ((0..d).map(|i| cov[(i, i)]).sum::<f64>() / d as f64).sqrt();
    let std_target =
        Arc::new(m.affine_image(&mean.iter().map(|c| -c / scale).collect::<Vec<_>>(), 1.0 / scale).unwrap());
    let seed = arg("seed", 0.0) as u64;
    let codes = arg("codes", 256.0) as usize;
    let w = arg("width", 128.0) as usize;
    let latent = if codes > 0 { Latent::Codes { logits: vec![0.0; codes] } } else { Latent::Gaussian };
    let g = Generator::<f32>::new(Frame { centre: mean, scale }, latent, &vec![w; arg("layers", 3.0) as usize], seed);
    let s = Settings {
        steps: arg("steps", 3000.0) as u64,
        batch: arg("batch", 1024.0) as usize,
        reference: arg("ref", 2048.0) as usize,
        learning_rate: arg("lr", 2e-3),
        bandwidth_start: arg("h0", 1.2),
        bandwidth_end: arg("h1", 0.07),
        anneal: arg("anneal", 0.7),
        neighbours: arg("nb", 20.0),
        reaction: arg("reaction", 0.0),
        seed,
    };
    let v = SmoothedDrift {
        target: std_target,
        divergence: pushforward::divergence::by_name(&std::env::var("DIV").unwrap_or("reverse-kl".into())).unwrap().into(), draws: 64,
        clip: LogRatioClip { low: -arg("clip", 4.0), high: arg("clip", 4.0) },
    };
    let steps = s.steps;
    let t0 = std::time::Instant::now();
    let mut tr = Trainer::new(g, Box::new(v), s);
    let big = m.sample(1 << 18, 77).unwrap();
    let (_, _, _, vr0, truth) = modes(&m, &big, None);
    for i in 0..steps {
        let r = tr.step().unwrap();
        if i % (steps / 6) == 0 || i == steps - 1 {
            let x = tr.generator.sample(10000, 5, 0);
            let (c, tv, o, vr, _) = modes(&m, &x, Some(&truth));
            println!(
                "{i:5} h={:.3} drift={:.3} l={:.3} ess={:.0} | modes {c} tv {tv:.4} out {:.3}% vr {:.3} t={:.1}s",
                r.bandwidth,
                r.drift,
                r.mean_log_ratio,
                r.effective_samples,
                o * 100.0,
                vr / vr0,
                t0.elapsed().as_secs_f64()
            );
        }
    }
    let mut tvs = vec![];
    let mut os = vec![];
    let mut vs = vec![];
    let mut f = vec![];
    for b in 0..5 {
        let x = tr.generator.sample(10000, 6, b);
        let (_, tv, o, vr, _) = modes(&m, &x, Some(&truth));
        tvs.push(tv);
        os.push(o);
        vs.push(vr / vr0);
        let e = m.sample(10000, 100 + b).unwrap();
        f.push(modes(&m, &e, Some(&truth)).1);
    }
    let av = |v: &Vec<f64>| v.iter().sum::<f64>() / v.len() as f64;
    let x = tr.generator.sample(500000, 7, 0);
    let (_, tvb, _, _, _) = modes(&m, &x, Some(&truth));
    println!(
        "FINAL {name} tv {:.4} (floor {:.4}, asymptotic {:.4}) out {:.3}% vr {:.4} time {:.1}",
        av(&tvs),
        av(&f),
        tvb,
        av(&os) * 100.0,
        av(&vs),
        t0.elapsed().as_secs_f64()
    );
}
