//! A made-up record for the tests of the report.

use super::*;
use crate::curves::{Column, Curves, Row};
use crate::record::ConditionCard;
use pushforward::linalg::Matrix;
use pushforward::metric::Judge;
use pushforward::rng::{Purpose, normal_matrix};

/// A record as a run on a ring of eight modes would leave it.
pub fn ring() -> Record {
    let centre = |k: usize| {
        let a = std::f64::consts::TAU * k as f64 / 8.0;
        (4.0 * a.cos(), 4.0 * a.sin())
    };
    let draw = |seed: u64, spread: f64| {
        let z: Matrix = normal_matrix(seed, Purpose::Check, 0, 3000, 2);
        Matrix::from_fn(3000, 2, |i, j| {
            let c = centre(i % 8);
            let m = if j == 0 { c.0 } else { c.1 };
            spread * m + 0.3f64.sqrt() * z[(i, j)]
        })
    };
    let log_p = |x: f64, y: f64| {
        (0..8)
            .map(|k| {
                let c = centre(k);
                (-((x - c.0).powi(2) + (y - c.1).powi(2)) / 0.6).exp() / 8.0
            })
            .sum::<f64>()
            .ln()
    };
    let at = |k: usize| -6.5 + 13.0 * k as f64 / 139.0;
    let energy = |m: &Matrix| m.iter_rows().map(|r| -log_p(r[0], r[1])).collect::<Vec<_>>();
    let (last, exact) = (draw(3, 1.0), draw(4, 1.0));
    Record {
        target: TargetCard {
            name: "ring8".into(),
            dim: 2,
            formula: "log 1/8 sum_k N(x; 4 (cos 2 pi k/8, sin 2 pi k/8), 0.3 I)".into(),
            constants: "radius 4, variance 0.3, equal weights".into(),
            source: "made up for a test".into(),
        },
        divergence: DivergenceCard {
            name: "forward-kl".into(),
            formula: "D_f(p‖q) = KL(p‖q), f(u) = u log u".into(),
            weight_formula: "r".into(),
            log_weight: (-40..=40).map(|k| (k as f64 / 5.0, k as f64 / 5.0)).collect(),
        },
        outcome: "3,000 steps in 12.4 s on 4 threads, f32, seed 1; every step was used.".into(),
        headline: vec![
            Tile { value: "8 / 8".into(), label: "modes covered".into(), beside: "".into() },
            Tile {
                value: "0.014".into(),
                label: "total variation of mode masses".into(),
                beside: "exact samples: 0.012".into(),
            },
            Tile {
                value: "0.08%".into(),
                label: "beyond 4σ of every mode".into(),
                beside: "exact samples: 0.03%".into(),
            },
            Tile {
                value: "0.991".into(),
                label: "variance within modes, ratio".into(),
                beside: "exact samples: 1.000".into(),
            },
        ],
        frames: vec![
            Frame { step: 0, samples: draw(1, 0.1) },
            Frame { step: 1500, samples: draw(2, 0.8) },
            Frame { step: 3000, samples: last.clone() },
        ],
        posterior: (["x1", "x2"].map(|name| (name.into(), (0..12).map(|k| 0.1 * k as f64).collect()))).to_vec(),
        posterior_use: "Use samples.npy: its draws are independent.".into(),
        energy: energy(&last),
        conditions: ConditionCard {
            title: "Temperatures",
            lead: "Samples given beta.",
            columns: ["beta", "log Z", "exact", "ESS", "E[log p~]"],
            rows: vec![["0.5", "-0.31 ± 0.01", "-0.3", "0.9", "-1.2 ± 0.1"].map(String::from)],
        },
        exact_energy: energy(&exact),
        exact: Some(exact),
        field: Some(Field {
            x: (-6.5, 6.5),
            y: (-6.5, 6.5),
            log_p: Matrix::from_fn(140, 140, |i, j| log_p(at(j), at(i))),
        }),
        modes: (0..8).map(|k| ModeMass { truth: 0.125, model: 0.125 + 0.004 * (k as f64 - 3.5) / 3.5 }).collect(),
        particles: true,
        courses: (0..8)
            .map(|k| ModeCourse {
                truth: 0.125,
                points: (0..=30).map(|s| (100.0 * s as f64, 0.02 * k as f64 + 0.001 * s as f64)).collect(),
            })
            .collect(),
        mode_samples: 10_000,
        curves: Curves {
            columns: [
                ("kl", "KL(q‖p) of the noised laws, up to log Z"),
                ("bandwidth", "bandwidth h"),
                ("mean_log_density", "mean log p~"),
                ("rms_velocity", "RMS of the velocity V"),
            ]
            .map(|(key, label)| Column { key: key.into(), label: label.into() })
            .to_vec(),
            rows: (1..=3000)
                .map(|s| {
                    let t = s as f64 / 3000.0;
                    let values = vec![
                        1e-3 * (1.0 + (s as f64).sin() * 0.3) * (-t).exp(),
                        5.0 * (0.05f64).powf((t / 0.7).min(1.0)),
                        -2.8 - 20.0 * (-12.0 * t).exp() + 0.05 * (s as f64).cos(),
                        2.0 * (-3.0 * t).exp() * (1.0 + 0.2 * (3.0 * s as f64).sin()),
                    ];
                    Row { step: s, skipped: false, values }
                })
                .collect(),
        },
        model: "generator".into(),
        chosen: None,
        method: vec![("model 'generator'".into(), "a network".into())],
        metrics: vec![
            MetricRow {
                name: "mode-mass total variation".into(),
                value: 0.0143,
                floor: Some((0.0121, 0.002)),
                meaning: "half the summed difference between the modes' shares and the truth".into(),
                judge: Judge::Ratio,
            },
            MetricRow {
                name: "mean log p".into(),
                value: -2.812,
                floor: Some((-2.804, 0.002)),
                meaning:
                    "average log-density of the samples; too high means modes too narrow, too low means stray samples"
                        .into(),
                judge: Judge::Difference,
            },
            MetricRow {
                name: "W2 (1,000 against 1,000)".into(),
                value: 0.412,
                floor: Some((0.39, 0.002)),
                meaning: "least root mean square distance that turns the samples into exact ones".into(),
                judge: Judge::Ratio,
            },
        ],
        tests: vec![TestRow {
            name: "KSD".into(),
            statistic: 0.0871,
            p_value: 0.432,
            size: 1_000,
            meaning: "do the samples fit the score of the target?".into(),
        }],
        certificate: Some(CertificateCard {
            rows: vec![("log Z".into(), "0.0012 ± 0.0031".into(), "importance sampling from the model".into())],
            findings: vec!["k-hat 0.31: the weights are reliable where the model has samples".into()],
            caveat: "No certificate proves that no mode was missed.".into(),
            log_weights: (0..500).map(|k| (k as f64 * 0.7).sin()).collect(),
            exact_log_weights: Vec::new(),
            field: None,
        }),
        notes: vec!["2 of 3,000 steps were skipped: the log-density was NaN at x = [1.5, 2.0]".into()],
        config: "target = \"ring8\"\ndivergence = \"forward-kl\"\nsteps = 3000\nseed = 1\n".into(),
    }
}
