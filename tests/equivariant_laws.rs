//! Networks that exchange, turn and reflect with the particles they move.

use pushforward::autodiff::{Tape, Var, hessian_vector};
use pushforward::density::Affine;
use pushforward::estimate::{Clock, Estimator, Reference, Scene, ScoreNet, ScoreSettings};
use pushforward::linalg::{Matrix, MeanFree};
use pushforward::model::Generator;
use pushforward::nn::{Equivariant, Mlp, Network};
use pushforward::num::{cos, sin};
use pushforward::rng::{Purpose, normal_matrix, stream};
use std::sync::Arc;

const SPACES: [MeanFree; 3] =
    [MeanFree { particles: 2, dim: 1 }, MeanFree { particles: 4, dim: 2 }, MeanFree { particles: 13, dim: 3 }];

/// Random matrices in the place of initial ones, so that no output is 0.
fn random(shapes: &[Matrix], seed: u64) -> Vec<Matrix> {
    let one = |(k, m): (usize, &Matrix)| {
        let z: Matrix = normal_matrix(seed, Purpose::Check, k as u64, m.rows(), m.cols());
        z.map(|v| v / (m.rows() as f64).sqrt())
    };
    shapes.iter().enumerate().map(one).collect()
}

/// The network at y.
fn at(network: &Network, parameters: &[Matrix], y: &Matrix, marks: Option<&Matrix>) -> Matrix {
    let tape = Tape::new();
    let parameters: Vec<_> = parameters.iter().map(|p| tape.leaf(p)).collect();
    network.forward(&parameters, tape.leaf(y), marks.map(|m| tape.leaf(m))).value()
}

/// y with its particles exchanged in pairs, turned in the first two axes and reflected in the last one.
fn moved(space: MeanFree, y: &Matrix) -> Matrix {
    let MeanFree { particles: n, dim: k } = space;
    let x = space.positions(y);
    let (c, s) = (cos(0.7), sin(0.7));
    let place = |row: &[f64], i: usize, axis: usize| {
        let at = |axis: usize| row[((i + 1) % n) * k + axis];
        let turned = match (k, axis) {
            (1, _) => at(0),
            (_, 0) => c * at(0) - s * at(1),
            (_, 1) => s * at(0) + c * at(1),
            _ => at(axis),
        };
        if axis + 1 == k { -turned } else { turned }
    };
    space.coordinates(&Matrix::from_fn(y.rows(), n * k, |r, j| place(x.row(r), j / k, j % k)))
}

fn largest(a: &Matrix, b: &Matrix) -> f64 {
    a.as_slice().iter().zip(b.as_slice()).fold(0.0, |m, (a, b)| m.max((a - b).abs()))
}

/// Checks that the field of a moved configuration is the moved field, and that the scalar stays, to rounding, with and without marks; a
/// multilayer perceptron of that size misses it by a tenth of its size and more.
#[test]
fn the_field_moves_with_its_particles() {
    for (seed, space) in (0..).zip(SPACES) {
        let d = space.free_dim();
        let y: Matrix = normal_matrix(seed, Purpose::Check, 100, 9, d);
        let marks: Matrix = normal_matrix(seed, Purpose::Check, 101, 9, 2);
        for m in [0, 2] {
            let marks = (m > 0).then_some(&marks);
            for scalar in [false, true] {
                let network = Network::Equivariant(Equivariant::new(space, 6, 3, m, scalar));
                let parameters = random(&network.initialise(&mut stream(seed, Purpose::Initialise, 0)), seed);
                let out = at(&network, &parameters, &y, marks);
                let expected = if scalar { out.clone() } else { moved(space, &out) };
                let found = at(&network, &parameters, &moved(space, &y), marks);
                let size = out.as_slice().iter().fold(0.0f64, |m, v| m.max(v.abs()));
                assert!(size > 0.01, "{space:?}: {size}");
                // some 100 operations deep
                let off = largest(&found, &expected);
                assert!(off <= 1e3 * f64::EPSILON * size.max(1.0), "{space:?} scalar {scalar}: {off:e}");
            }
        }
        let plain = Network::Mlp(Mlp::new(vec![d, 8, d]));
        let parameters = random(&plain.initialise(&mut stream(seed, Purpose::Initialise, 1)), seed);
        let off = largest(
            &at(&plain, &parameters, &moved(space, &y), None),
            &moved(space, &at(&plain, &parameters, &y, None)),
        );
        // two on a line: exchanged and reflected they are where they were
        assert!(off > 0.1 || space.particles == 2, "{space:?}: {off}");
    }
}

/// Checks that initial networks give 0, that names, matrices and sizes agree, and that a generator begins at the identity.
#[test]
fn it_begins_at_nothing() {
    for space in SPACES {
        let y: Matrix = normal_matrix(5, Purpose::Check, 0, 4, space.free_dim());
        for layers in 1..=3 {
            for scalar in [false, true] {
                let network = Equivariant::new(space, 5, layers, 0, scalar);
                let initial: Vec<Matrix> = network.initialise(&mut stream(1, Purpose::Initialise, 0));
                assert_eq!(initial.len(), network.parameter_count());
                assert_eq!(initial.len(), network.parameter_names().len());
                let numbers = initial.iter().map(|m| m.as_slice().len()).sum::<usize>();
                assert!(scalar || Equivariant::size(5, layers) == Some(numbers));
                let out = at(&Network::Equivariant(network), &initial, &y, None);
                assert!(out.as_slice().iter().all(|v| *v == 0.0));
            }
            let frame = Affine::new(vec![0.0; space.free_dim()], 1.5).unwrap();
            let generator: Generator<f64> = Generator::of_particles(frame, space, (5, layers), 2);
            assert_eq!(Some(generator.size()), Equivariant::size(5, layers));
            let latent = generator.draw(7, false, (1, Purpose::Sample, 0));
            assert_eq!(generator.map(&latent), latent.noise);
        }
    }
    assert_eq!(Equivariant::size(1 << 40, 3), None);
}

/// Checks derivatives by central differences: of the field by a parameter of every matrix, and the second derivative of the scalar, of which
/// learnt scores are made. The error of a difference of step h is h² of third derivatives, which reach 10/0.1² where
/// particles nearly meet, and 1e-16/h.
#[test]
fn derivatives_are_those_of_differences() {
    let space = SPACES[1];
    let (d, h) = (space.free_dim(), 2e-6);
    let y: Matrix = normal_matrix(8, Purpose::Check, 0, 3, d);
    let weight: Matrix = normal_matrix(8, Purpose::Check, 1, 3, d);
    let network = Network::Equivariant(Equivariant::new(space, 4, 2, 0, false));
    let parameters = random(&network.initialise(&mut stream(1, Purpose::Initialise, 0)), 3);
    let value = |parameters: &[Matrix]| {
        let out = at(&network, parameters, &y, None);
        out.as_slice().iter().zip(weight.as_slice()).map(|(a, b)| a * b).sum::<f64>()
    };
    let tape = Tape::new();
    let leaves: Vec<Var<'_, f64>> = parameters.iter().map(|p| tape.leaf(p)).collect();
    let sum = (network.forward(&leaves, tape.leaf(&y), None) * tape.leaf(&weight)).sum();
    let gradient: Vec<Matrix> = tape.gradient(sum, &leaves).iter().map(|g| g.value()).collect();
    for (k, name) in network.parameter_names().iter().enumerate() {
        let step = |by: f64| {
            let mut parameters = parameters.clone();
            parameters[k].as_mut_slice()[0] += by;
            value(&parameters)
        };
        let (found, expected) = (gradient[k].as_slice()[0], (step(h) - step(-h)) / (2.0 * h));
        assert!((found - expected).abs() < 1e-7 * (1.0 + expected.abs()), "{name}: {found} {expected}");
    }
    let network = Network::Equivariant(Equivariant::new(space, 4, 2, 0, true));
    let parameters = random(&network.initialise(&mut stream(1, Purpose::Initialise, 0)), 4);
    let slope = |y: &Matrix| {
        let tape = Tape::new();
        let leaves: Vec<Var<'_, f64>> = parameters.iter().map(|p| tape.leaf(p)).collect();
        let y = tape.leaf(y);
        tape.gradient(network.forward(&leaves, y, None), &[y])[0].value()
    };
    let away = |by: f64| slope(&Matrix::from_fn(3, d, |i, j| y[(i, j)] + by * weight[(i, j)]));
    let (up, down) = (away(h), away(-h));
    let tape = Tape::new();
    let leaves: Vec<Var<'_, f64>> = parameters.iter().map(|p| tape.leaf(p)).collect();
    let at = tape.leaf(&y);
    let found = hessian_vector(network.forward(&leaves, at, None).sum(), at, tape.leaf(&weight)).value();
    for (k, found) in found.as_slice().iter().enumerate() {
        let expected = (up.as_slice()[k] - down.as_slice()[k]) / (2.0 * h);
        assert!((found - expected).abs() < 1e-7 * (1.0 + expected.abs()), "{k}: {found} {expected}");
    }
}

/// Checks that a generator on particles moves its samples with its latent, that its bits in blocks are those of training, and that the settings
/// of networks that cannot be are refused by name.
#[test]
fn generators_on_particles() {
    let space = SPACES[2];
    let frame = Affine::new(vec![0.0; 36], 0.8).unwrap();
    let mut generator: Generator<f64> = Generator::of_particles(frame, space, (6, 3), 2);
    let matrices: Vec<Matrix> = generator.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols())).collect();
    generator.parameters = random(&matrices, 7).into_iter().map(|m| Arc::new(m.into())).collect();
    let latent = generator.draw(200, false, (3, Purpose::Sample, 0));
    let y = generator.map(&latent);
    let turned = pushforward::model::LatentBatch { noise: moved(space, &latent.noise), ..latent.clone() };
    let size = y.as_slice().iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert!(largest(&generator.map(&turned), &moved(space, &y)) < 1e4 * f64::EPSILON * size);
    let few = pushforward::model::LatentBatch { noise: latent.noise.slice_rows(150..200), ..latent.clone() };
    assert_eq!(generator.map(&few), y.slice_rows(150..200));
    for (setting, hidden) in
        [(vec![13], vec![8, 8]), (vec![1, 3], vec![8]), (vec![13, 3], vec![]), (vec![13, 3], vec![8, 9])]
    {
        let said = Network::particles("equivariant", &setting, &hidden).unwrap_err().to_string();
        assert!(said.contains("equivariant") && said.contains(&format!("{setting:?}")), "{said}");
    }
    let said = Network::check_dimension("equivariant", Some(space), 2).unwrap_err().to_string();
    assert!(said.contains("(n - 1) k = 2"), "{said}");
}

/// Prints what a step costs on LJ-13 in seconds: of the generator, and of its score by each objective.
///
/// cargo test --release --test equivariant_laws -- --ignored cost --nocapture
#[test]
#[ignore = "a study: seconds of a step"]
fn cost_of_a_step() {
    let space = SPACES[2];
    let frame = Affine::new(vec![0.0; 36], 0.8).unwrap();
    let generator: Generator<f32> = Generator::of_particles(frame, space, (64, 3), 2);
    let latent = generator.draw(256, false, (3, Purpose::Sample, 0));
    let g: Matrix = normal_matrix(4, Purpose::Check, 0, 256, 36);
    let seconds = |name: &str, f: &mut dyn FnMut()| {
        f();
        let start = std::time::Instant::now();
        (0..5).for_each(|_| f());
        println!("{name:40} {:.3} s", start.elapsed().as_secs_f64() / 5.0);
    };
    seconds("256 samples", &mut || drop(generator.map(&latent)));
    seconds("the same, on a tape, and the gradient", &mut || drop(generator.gradient(&latent, &g)));
    let (x, clock) = (generator.frame.standardise(&generator.sample(320, 1, 0)), Clock { step: 0, steps: 100 });
    let reference = Reference::Independent(&x);
    let scene = Scene { x: &x, reference, classes: None, at_x: None, law: None, dt: 1.0, clock, seed: 1 };
    for objective in ["implicit", "denoising"] {
        let settings = ScoreSettings {
            objective: objective.into(),
            equivariant: vec![13, 3],
            score_layers: vec![64; 3],
            score_steps: 1,
            score_batch: 256,
            ..ScoreSettings::default()
        };
        let mut score: ScoreNet<f32> = ScoreNet::new(settings);
        seconds(&format!("256 of a {objective} score, 64 held out"), &mut || score.prepare(&scene).unwrap());
    }
}
