//! `kind = "gaussian-mixture"`: `p(x) = Σ_k w_k N(x; m_k, C_k)`.

use crate::memory;
use crate::target::{Described, Reason};
use pushforward::density::GaussianMixture;
use pushforward::linalg::Matrix;
use serde::Deserialize;
use std::sync::Arc;

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(rename = "kind")]
    _kind: String,
    weights: Vec<f64>,
    means: Vec<Vec<f64>>,
    covariances: Option<Vec<Vec<Vec<f64>>>>,
    std: Option<Std>,
}

const KEYS: &[&str] = &["kind", "weights", "means", "covariances", "std"];

/// One standard deviation for all components, or one for each.
#[derive(Deserialize)]
#[serde(untagged, expecting = "std must be a number or a list of numbers, one for each component")]
enum Std {
    All(f64),
    Each(Vec<f64>),
}

/// The mixture that `text` describes, with words about it.
pub(crate) fn describe(text: &str, note: &mut dyn FnMut(String)) -> Result<Described, Reason> {
    let mixture = parse(text, note)?;
    let (k, d) = mixture.means().shape();
    let constants = format!("{k} components in {d} dimensions; weights, means and covariances as in the file");
    Ok(Described::new(Arc::new(mixture), "log sum_k w_k N(x; m_k, C_k)", constants))
}

fn parse(text: &str, note: &mut dyn FnMut(String)) -> Result<GaussianMixture, Reason> {
    let keys: Keys = toml::from_str(text)
        .map_err(|e| Reason::of_keys(text, &e, "gaussian-mixture", "weights, means and covariances or std", KEYS))?;
    let means = means(&keys.means)?;
    let (k, d) = means.shape();
    fits(k, d)?;
    let weights = weights(&keys.weights, k, note)?;
    let covariances = match (keys.covariances, keys.std) {
        (Some(c), None) => covariances(&c, k, d)?,
        (None, Some(s)) => isotropic(s, k, d)?,
        (None, None) => {
            return Err(Reason::new("neither 'covariances' nor 'std' is given; add one, such as std = 1.0"));
        }
        (Some(_), Some(_)) => return Err(Reason::new("both 'covariances' and 'std' are given; remove one")),
    };
    GaussianMixture::new(&weights, means, covariances).map_err(|e| Reason::new(e.to_string()))
}

/// Most multiplications that the factors of all covariances may take, K d³: some tens of seconds.
const MOST_WORK: f64 = 3e10;

/// Refuses covariances, K of d×d numbers and as many in their factors and inverses, before they are made.
fn fits(k: usize, d: usize) -> Result<(), Reason> {
    let what = format!("means: {k} components in {d} dimensions");
    let work = k as f64 * (d as f64).powi(3);
    if work > MOST_WORK {
        return Err(Reason::new(format!(
            "{what} take {work:.1e} multiplications for their covariances, more than the {MOST_WORK:.0e} that are done; write it as a formula"
        )));
    }
    let numbers = 4 * k as u128 * (d as u128).pow(2);
    memory::enough(8 * numbers, &what, "give fewer").map_err(|e| Reason::new(e.to_string()))
}

fn finite(x: f64, what: impl Fn() -> String) -> Result<f64, Reason> {
    if x.is_finite() { Ok(x) } else { Err(Reason::new(format!("{} is {x}; give a finite number", what()))) }
}

fn means(rows: &[Vec<f64>]) -> Result<Matrix, Reason> {
    let d = rows.first().map_or(0, Vec::len);
    if d == 0 {
        return Err(Reason::new("means is empty; give one list of coordinates for each component"));
    }
    for (k, row) in rows.iter().enumerate() {
        if row.len() != d {
            let (n, k) = (row.len(), k + 1);
            return Err(Reason::new(format!(
                "means: entry {k} has {n} coordinates but entry 1 has {d}; all need the same number"
            )));
        }
        for (j, &x) in row.iter().enumerate() {
            finite(x, || format!("means: coordinate {} of entry {}", j + 1, k + 1))?;
        }
    }
    Ok(Matrix::from_rows(rows))
}

/// Positive weights with sum 1; a sum other than 1 is divided out, with a note.
fn weights(given: &[f64], k: usize, note: &mut dyn FnMut(String)) -> Result<Vec<f64>, Reason> {
    if given.len() != k {
        return Err(Reason::new(format!(
            "weights has {} entries but means has {k}; give one weight for each mean",
            given.len()
        )));
    }
    for (i, &w) in given.iter().enumerate() {
        finite(w, || format!("weights: entry {}", i + 1))?;
        if w <= 0.0 {
            return Err(Reason::new(format!(
                "weights: entry {} is {w}; a weight must be positive (leave the component out otherwise)",
                i + 1
            )));
        }
    }
    let sum = finite(given.iter().sum(), || "the sum of weights".into())?;
    // Decimal weights that were meant to sum to 1 do so within a few roundings; those are not worth a note.
    if (sum - 1.0).abs() > 4.0 * f64::EPSILON * k as f64 {
        note(format!("the weights sum to {sum}; they are divided by that"));
    }
    Ok(given.iter().map(|w| w / sum).collect())
}

fn covariances(given: &[Vec<Vec<f64>>], k: usize, d: usize) -> Result<Vec<Matrix>, Reason> {
    if given.len() != k {
        return Err(Reason::new(format!(
            "covariances has {} entries but means has {k}; give one for each mean",
            given.len()
        )));
    }
    given.iter().enumerate().map(|(i, c)| covariance(c, d, i + 1)).collect()
}

/// A finite symmetric d×d matrix; its mean with the transpose, which removes the last digits in which the halves differ.
fn covariance(rows: &[Vec<f64>], d: usize, entry: usize) -> Result<Matrix, Reason> {
    if rows.len() != d || rows.iter().any(|r| r.len() != d) {
        let widths: Vec<String> = rows.iter().map(|r| r.len().to_string()).collect();
        return Err(Reason::new(format!(
            "covariances: entry {entry} has {} rows of length {}, expected {d} rows of length {d} like the means",
            rows.len(),
            widths.join(", ")
        )));
    }
    let c = Matrix::from_rows(rows);
    for i in 0..d {
        for j in 0..d {
            finite(c[(i, j)], || format!("covariances: entry {entry}, row {}, column {}", i + 1, j + 1))?;
            let (a, b) = (c[(i, j)], c[(j, i)]);
            // zeros of an inverse are rounded at the size of the diagonal
            let size = (c[(i, i)].abs() * c[(j, j)].abs()).sqrt().max(a.abs().min(b.abs()));
            if (a - b).abs() > 1e-9 * size {
                return Err(Reason::new(format!(
                    "covariances: entry {entry} is not symmetric: row {}, column {} is {a} but its mirror is {b}",
                    i + 1,
                    j + 1
                )));
            }
        }
    }
    let c = Matrix::from_fn(d, d, |i, j| 0.5 * (c[(i, j)] + c[(j, i)]));
    match GaussianMixture::gaussian(&vec![0.0; d], c.clone()) {
        Err(pushforward::Error::NotPositiveDefinite { pivot, value, .. }) => Err(Reason::new(format!(
            "covariances: entry {entry} is not positive definite: pivot {} of its Cholesky factor is {value:e}; give a symmetric \
             matrix with positive eigenvalues",
            pivot + 1
        ))),
        Err(e) => Err(Reason::new(format!("covariances: entry {entry}: {e}"))),
        Ok(_) => Ok(c),
    }
}

fn isotropic(std: Std, k: usize, d: usize) -> Result<Vec<Matrix>, Reason> {
    let each = match std {
        Std::All(s) => vec![s; k],
        Std::Each(s) => s,
    };
    if each.len() != k {
        return Err(Reason::new(format!(
            "std has {} entries but means has {k}; give one for each mean, or one number for all",
            each.len()
        )));
    }
    let mut out = Vec::with_capacity(k);
    for (i, &s) in each.iter().enumerate() {
        finite(s * s, || format!("std: entry {} squared", i + 1))?;
        if s <= 0.0 || s * s == 0.0 {
            return Err(Reason::new(format!("std: entry {} is {s}; a standard deviation must be positive", i + 1)));
        }
        out.push(Matrix::from_fn(d, d, |a, b| if a == b { s * s } else { 0.0 }));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixture(text: &str) -> (GaussianMixture, Vec<String>) {
        let mut notes = Vec::new();
        let m = parse(text, &mut |n| notes.push(n)).unwrap();
        (m, notes)
    }

    /// Checks that `std` and `covariances` describe the same mixture, and that weights are normalised with a note.
    #[test]
    fn two_ways_to_say_the_same() {
        let start = "kind = \"gaussian-mixture\"\nweights = [1, 3]\nmeans = [[0, 1], [2.5, -1]]\n";
        let (a, notes) = mixture(&format!("{start}std = [1, 0.5]"));
        let (b, _) = mixture(&format!("{start}covariances = [[[1, 0], [0, 1]], [[0.25, 0], [0, 0.25]]]"));
        assert_eq!((a.means(), a.covariances()), (b.means(), b.covariances()));
        assert_eq!(a.weights(), [0.25, 0.75]);
        assert!(notes.len() == 1 && notes[0].contains("sum to 4"), "{notes:?}");
        let (_, silent) =
            mixture("kind = \"gaussian-mixture\"\nweights = [0.1, 0.2, 0.7]\nmeans = [[0], [1], [2]]\nstd = 1");
        assert!(silent.is_empty(), "{silent:?}");
    }
}
