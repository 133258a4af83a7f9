//! Memory of many steps.

use crate::density::Affine;
use crate::linalg::Matrix;
use crate::model::batch::{Batch, CHUNK};
use crate::model::flow::{Architecture, CouplingKind, Flow};
use crate::model::{Generator, Latent, LatentBatch};
use crate::rng::{Purpose, normal_matrix};

/// Rows: two tapes, the second with few rows.
const ROWS: usize = CHUNK + 3;

/// Asserts that `batch` keeps as many buffers after 200 steps as after 10: what a step adds for ever would be
/// there 190 times.
fn bounded(words: &str, mut step: impl FnMut(&mut Batch<f32>)) {
    let mut batch = Batch::default();
    let mut after = |steps: usize| {
        (0..steps).for_each(|_| step(&mut batch));
        batch.spare_buffers()
    };
    let (early, late) = (after(10), after(190));
    assert!(early > 0 && late == early, "{words}: {early} buffers after 10 steps, {late} after 200");
}

fn flows() -> impl Iterator<Item = (String, Flow<f32>)> {
    let kinds = [CouplingKind::Affine, CouplingKind::Spline { bins: 2, reach: 3.0 }];
    let all = [1, 2].into_iter().flat_map(move |d| kinds.into_iter().flat_map(move |k| [(d, k, 1), (d, k, 2)]));
    all.map(|(d, coupling, components)| {
        let architecture = Architecture { coupling, couplings: 2, hidden: vec![2], components, given: 0 };
        (format!("{d} dimensions, {architecture:?}"), Flow::new(Affine::identity(d), architecture, 1))
    })
}

/// Checks that the buffers that wait for the next step are as many after 200 small steps of training as after 10, for
/// generators with and without codes and for flows of all kinds, through samples, samples with scores and
/// log-densities, with a backward pass and without.
#[test]
fn steps_leave_nothing_behind() {
    for latent in [Latent::Gaussian, Latent::Codes { logits: vec![0.0; 3] }] {
        for hidden in [&[][..], &[2], &[2, 3]] {
            let generator: Generator<f32> = Generator::new(Affine::identity(2), latent.clone(), hidden, 1);
            let points: LatentBatch<f32> = generator.latent.sample(ROWS, 2, (1, Purpose::Check, 0));
            let mut gradient: Vec<_> = generator.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols())).collect();
            let cotangent = Matrix::zeros(ROWS, 2);
            bounded(&format!("{latent:?}, {hidden:?}"), |batch| {
                batch.forward(&generator, &points);
                batch.pull_back(&cotangent, &mut gradient);
                batch.forward(&generator, &points);
                batch.release();
            });
        }
    }
    for (words, flow) in flows() {
        let d = flow.dim();
        let points: LatentBatch<f32> = flow.latent().sample(ROWS, d, (1, Purpose::Check, 0));
        let y = normal_matrix::<f32>(1, Purpose::Check, 1, ROWS, d);
        let (cotangent, weights) = (Matrix::zeros(ROWS, d), Matrix::zeros(ROWS, 1));
        let mut gradient = flow.zeros();
        bounded(&format!("samples with scores, {words}"), |batch| {
            batch.generate_with_score(&flow, &points);
            batch.pull_back(&cotangent, &mut gradient);
        });
        bounded(&format!("samples, {words}"), |batch| {
            batch.generate(&flow, &points);
            batch.pull_back(&cotangent, &mut gradient);
            batch.generate(&flow, &points);
            batch.release();
        });
        bounded(&format!("log-densities, {words}"), |batch| {
            batch.log_density(&flow, &y);
            batch.pull_back(&weights, &mut gradient);
        });
    }
}
