//! The page as a whole.

use crate::report::fake::ring;
use crate::report::{Frame, ModeMass, Record, html};
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, normal_matrix};

/// Elements that have no end tag in HTML.
const VOID: [&str; 1] = ["meta"];

/// Checks that every element that is opened is closed in order, so that every browser draws the same page.
pub(super) fn assert_balanced(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in page.split('<').skip(2) {
        let tag = part.split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "after {part}");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Checks that every coordinate of every diagram is a number.
pub(super) fn assert_drawable(page: &str) {
    for svg in page.split("<svg").skip(1) {
        let svg = svg.split("</svg>").next().unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

/// Checks that the page fetches nothing and runs nothing, is balanced, holds every section, and no number that is not one.
#[test]
fn self_contained() {
    let page = html(&ring());
    assert_balanced(&page);
    for word in ["http", "<script", "src=", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
    assert_drawable(&page);
    for word in [
        "Posterior",
        "Use samples.npy",
        "Samples",
        "Mass of the modes",
        "Metrics beside",
        "exact samples?",
        "Energies",
        "Steps",
        "forward-kl",
        "cannot show",
        "steps = 3000",
    ] {
        assert!(page.contains(word), "{word}");
    }
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

/// Checks that every part can be missing, that any dimension can be drawn, and that names cannot break the page.
#[test]
fn parts_and_dimensions() {
    assert_balanced(&html(&Record::default()));
    for d in [1, 2, 3, 6] {
        let mut record = ring();
        let samples: Matrix = normal_matrix(1, Purpose::Check, 1, 200, d);
        (record.field, record.exact) = (None, (d != 3).then(|| samples.clone()));
        let names = (0..d).map(|j| format!("<{j}>")).collect();
        record.chosen = (d > 1).then(|| (names, samples.clone()));
        record.frames = vec![Frame { step: 10, samples }];
        record.target.name = "<img onerror=\"x\"> & </html>".into();
        let page = html(&record);
        assert_balanced(&page);
        assert!(!page.contains("<img") && !page.contains("<0>"));
        assert_eq!(page.contains("exact samples <i"), d > 1 && d != 3, "{d}");
        assert_eq!(page.matches("id=\"chosen").count(), if d > 1 { d + d * (d - 1) / 2 } else { 0 });
    }
}

/// Checks that a run of one step, of equal values, or with numbers that are not finite still gives a page without NaN.
#[test]
fn degenerate_runs() {
    let mut record = ring();
    record.curves.rows.truncate(1);
    record.curves.rows[0].values[0] = f64::NAN;
    record.curves.rows[0].values[1] = 0.0;
    record.energy = vec![f64::INFINITY, 1.0, 1.0];
    record.exact_energy = vec![1.0; 3];
    record.frames[0].samples.as_mut_slice()[0] = f64::NAN;
    record.modes = vec![ModeMass { truth: 1.0, model: 0.0 }];
    let page = html(&record);
    assert_balanced(&page);
    assert_drawable(&page);
}
