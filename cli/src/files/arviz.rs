//! Samples in the form that ArviZ opens: JSON of its `from_dict` schema, read by `arviz.from_json` (0.x) or
//! `arviz.from_dict(json.load(f))` (1.x, which has no attributes there).
//!
//! Numbers that are not finite are written as Python writes and reads them, `-Infinity` and `NaN`, so that every list
//! is one of numbers.

use crate::failure::Outcome;
use crate::files::atomic::AtomicFile;
use crate::files::json::{line, number};
use pushforward::linalg::Matrix;
use serde_json::{Value, json};

/// Numbers that are turned into text at a time.
const PART: usize = 1 << 12;

/// A variable: its name, its shape and its first column; entries row after row.
type Variable = (String, Vec<usize>, usize);

/// The variables of columns named `theta[1]`, `theta[2]`, … or `Z[1,1]`, `Z[1,2]`, …; a column whose indices are not such a list by itself.
fn variables(names: &[String]) -> Vec<Variable> {
    let index = |name: &str| -> Option<(String, Vec<usize>)> {
        let (base, rest) = name.strip_suffix(']')?.split_once('[')?;
        let index: Vec<usize> = rest.split(',').map(|i| i.parse().ok()).collect::<Option<_>>()?;
        (index.len() <= 2).then(|| (base.to_string(), index))
    };
    let (mut out, mut at) = (Vec::new(), 0);
    while at < names.len() {
        if let Some((base, _)) = index(&names[at]) {
            let same = |name: &&String| index(name).is_some_and(|(other, _)| other == base);
            let width = names[at..].iter().take_while(same).count();
            let last = index(&names[at + width - 1]).map_or(Vec::new(), |(_, last)| last);
            let expected = |k: usize| match last[..] {
                [_] => vec![k + 1],
                [_, n] => vec![k / n.max(1) + 1, k % n.max(1) + 1],
                _ => vec![],
            };
            let whole = last.iter().product::<usize>() == width
                && (0..width).all(|k| index(&names[at + k]).is_some_and(|(_, i)| i == expected(k)));
            if whole {
                out.push((base, last, at));
                at += width;
                continue;
            }
        }
        out.push((names[at].clone(), Vec::new(), at));
        at += 1;
    }
    out
}

/// Numbers of each draw beside its parameters: a name, and n numbers.
pub type Statistic<'a> = (&'a str, &'a [f64]);

/// Writes `{"posterior": {name: [chain][draw]}, "sample_stats": {name: [chain][draw]}, "attrs": …}` with one chain, because the draws are
/// independent.   samples: n×d, names: d.
pub fn write(
    mut file: AtomicFile,
    samples: &Matrix,
    names: &[String],
    statistics: &[Statistic<'_>],
    attributes: Value,
) -> Outcome<()> {
    file.write(b"{\"posterior\":{")?;
    for (k, (name, shape, first)) in variables(names).into_iter().enumerate() {
        let comma = if k > 0 { "," } else { "" };
        file.write(format!("{comma}{}:", json!(name)).as_bytes())?;
        let width = shape.iter().product::<usize>();
        let draws: Vec<f64> = samples.iter_rows().flat_map(|row| row[first..first + width].to_vec()).collect();
        chain(&mut file, &draws, &shape)?;
    }
    file.write(b"},\"sample_stats\":{")?;
    for (k, (name, numbers)) in statistics.iter().enumerate() {
        file.write(format!("{}{}:", if k > 0 { "," } else { "" }, json!(name)).as_bytes())?;
        chain(&mut file, numbers, &[])?;
    }
    file.write(format!("}},\"attrs\":{}}}", line(&attributes).trim_end()).as_bytes())?;
    file.commit()
}

/// The draws of one chain, `[[x, …]]`; each of this shape.
fn chain(file: &mut AtomicFile, draws: &[f64], shape: &[usize]) -> Outcome<()> {
    fn nested(x: &[f64], shape: &[usize]) -> String {
        let Some((n, rest)) = shape.split_first() else { return number(x[0]) };
        let parts: Vec<String> = x.chunks((x.len() / n).max(1)).map(|part| nested(part, rest)).collect();
        format!("[{}]", parts.join(","))
    }
    let width = shape.iter().product::<usize>();
    file.write(b"[[")?;
    for (k, part) in draws.chunks(PART.div_ceil(width) * width).enumerate() {
        let text: Vec<String> = part.chunks(width).map(|x| nested(x, shape)).collect();
        file.write(format!("{}{}", if k > 0 { "," } else { "" }, text.join(",")).as_bytes())?;
    }
    file.write(b"]]")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that vectors and matrices are variables of their shape, and that names whose indices are no such list stay by themselves.
    #[test]
    fn variables_of_columns() {
        let names = |text: &str| variables(&text.split(' ').map(str::to_string).collect::<Vec<_>>());
        let one = |name: &str, shape: &[usize], first| (name.to_string(), shape.to_vec(), first);
        assert_eq!(
            names("mu t[1] t[2] Z[1,1] Z[1,2] Z[2,1] Z[2,2] q"),
            [one("mu", &[], 0), one("t", &[2], 1), one("Z", &[2, 2], 3), one("q", &[], 7)]
        );
        assert_eq!(names("t[2] t[3] a[x]"), [one("t[2]", &[], 0), one("t[3]", &[], 1), one("a[x]", &[], 2)]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let x = Matrix::from_rows(&[[1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]]);
        let columns = ["Z[1,1]", "Z[1,2]", "Z[2,1]", "Z[2,2]", "m"].map(str::to_string);
        write(AtomicFile::create(&path).unwrap(), &x, &columns, &[("lp", &[0.0, 1.0])], json!({})).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = r#"{"posterior":{"Z":[[[[1.0,2.0],[3.0,4.0]],[[6.0,7.0],[8.0,9.0]]]],"m":[[5.0,10.0]]}"#;
        assert!(text.starts_with(expected), "{text}");
    }

    /// Checks the whole text, names that JSON must escape and numbers that are none among it.
    #[test]
    fn numbers_that_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let x = Matrix::from_rows(&[[1.0, -1e300], [f64::NAN, 5e-324]]);
        let names = ["a\"b".to_string(), "c".to_string()];
        let file = AtomicFile::create(&path).unwrap();
        write(
            file,
            &x,
            &names,
            &[("lp", &[f64::NEG_INFINITY, f64::INFINITY]), ("b", &[1.0, 2.0])],
            json!({ "seed": 3, "none": null }),
        )
        .unwrap();
        let expected = r#"{"posterior":{"a\"b":[[1.0,NaN]],"c":[[-1e300,5e-324]]},"sample_stats":{"lp":[[-Infinity,Infinity]],"b":[[1.0,2.0]]},"attrs":{"seed":3,"none":null}}"#;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }
}
