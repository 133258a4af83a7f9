//! What a model keeps of its search, in files.

use super::{doubles, parameter_of};
use crate::files::safetensors::{Numbers, Tensor, Tensors};
use pushforward::linalg::Matrix;
use pushforward::model::Searched;

/// Adds it.
pub fn put(tensors: &mut Tensors, search: Option<&Searched>) {
    let Some(search) = search else { return };
    let mut put = |name: &str, shape: Vec<usize>, numbers: &[f64]| {
        if !numbers.is_empty() {
            tensors.insert(format!("search.{name}"), Tensor { shape, numbers: Numbers::F64(numbers.to_vec()) });
        }
    };
    for (name, x) in [("particles", &search.particles), ("second", &search.second)] {
        put(name, vec![x.rows(), x.cols()], x.as_slice());
    }
    put("families", vec![search.families.len()], &search.family_numbers());
    put("log_z", vec![3], &[search.log_z, search.log_z_error, search.calls as f64]);
    put("disagreement", vec![4], &search.disagreement.as_ref().map_or(Vec::new(), |d| d.numbers().to_vec()));
}

/// What [`put`] added, of a model in R^d; None where it added nothing.
pub fn of(tensors: &Tensors, d: usize) -> Result<Option<Searched>, String> {
    if !tensors.contains_key("search.particles") {
        return Ok(None);
    }
    let points = |name: &str| match tensors.get(name) {
        None => Ok(Matrix::zeros(0, d)),
        Some(x) => parameter_of(tensors, name, (x.shape.first().copied().unwrap_or(0), d)),
    };
    let numbers = |name: &str| match tensors.get(name) {
        None => Ok(None),
        Some(_) => doubles(tensors, name).map(Some).ok_or(format!("{name} has another precision")),
    };
    let both = (points("search.particles")?, points("search.second")?);
    let log_z = numbers("search.log_z")?.and_then(|z| <[f64; 3]>::try_from(z).ok());
    let log_z = log_z.ok_or("search.log_z does not hold three numbers")?;
    let disagreement = numbers("search.disagreement")?.map(<[f64; 4]>::try_from).transpose();
    let disagreement = disagreement.map_err(|_| "search.disagreement does not hold four numbers")?;
    let families = numbers("search.families")?.unwrap_or_default();
    Searched::of_numbers(both, &families, log_z, disagreement).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushforward::search::{Disagreement, Quantity};

    /// Checks that a search comes back whole, that one of a file of version 2, particles and log Z alone, is read as one population without
    /// relatives, and that families and disagreements that cannot be are refused with their name.
    #[test]
    fn searches_come_back() {
        let points = |n: usize| Matrix::from_fn(n, 2, |i, j| (i + 10 * j) as f64);
        for quantity in [Quantity::LogZ, Quantity::Power, Quantity::Mean(2)] {
            let whole = Searched {
                particles: points(3),
                second: points(2),
                families: vec![0, 0, 1, 2, 3],
                log_z: -1.5,
                log_z_error: 0.1,
                calls: 77,
                disagreement: Some(Disagreement { quantity, values: [1.0, 2.0], error: 0.25 }),
            };
            let mut tensors = Tensors::new();
            put(&mut tensors, Some(&whole));
            assert_eq!(of(&tensors, 2), Ok(Some(whole.clone())));
            for (name, numbers) in
                [("families", vec![0.0, 0.5, 1.0, 2.0, 3.0]), ("disagreement", vec![0.5, 1.0, 2.0, 0.25])]
            {
                let (name, mut wrong) = (format!("search.{name}"), tensors.clone());
                wrong.insert(name.clone(), Tensor { shape: vec![numbers.len()], numbers: Numbers::F64(numbers) });
                assert!(of(&wrong, 2).unwrap_err().contains(&name));
            }
            tensors.retain(|name, _| name == "search.particles" || name == "search.log_z");
            let old = Searched { second: points(0), families: Vec::new(), disagreement: None, ..whole };
            assert_eq!(of(&tensors, 2), Ok(Some(old)));
        }
    }
}
