//! The pictures of `theory/`: as the library draws them today, and written anew on demand.

use pushforward::verify::{Budget, registry};
use pushforward_cli::report::{cards, figures, ledger};
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../theory/figures")
}

fn drawings() -> Vec<(String, String)> {
    let figures = figures::files().map(|(id, svg)| (format!("{id}.svg"), svg));
    figures.chain([("graph.svg".to_string(), ledger::picture()), (PATHS.to_string(), figures::paths())]).collect()
}

/// Of docs/, drawn from runs of particles.
const PATHS: &str = "../../docs/paths.svg";

/// Numbers of a drawing, and what stands between them.
fn parts(svg: &str) -> (Vec<f64>, Vec<&str>) {
    let part = |c: char| c.is_ascii_digit() || c == '.';
    let numbers = svg.split(|c| !part(c)).filter_map(|word| word.parse().ok()).collect();
    (numbers, svg.split(part).filter(|word| !word.is_empty()).collect())
}

/// Checks that every theorem's page shows its figure, and that the files are what is drawn, up to a fifth of a pixel: on another
/// processor the last bits of a quadrature may round a coordinate to the other side. Where a score is learnt they may end its training
/// five steps earlier or later, which moves a path by a pixel.
#[test]
fn pictures_are_up_to_date() {
    for (name, drawn) in drawings() {
        let path = folder().join(&name);
        let stored = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let ((a, words), (b, kept)) = (parts(&drawn), parts(&stored));
        let reach = if name == PATHS { 2.0 } else { 0.2 };
        let near = a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() < reach);
        assert!(
            near && words == kept,
            "{name} is not what is drawn: cargo test --release -p pushforward-cli --test book -- --ignored, and look at it"
        );
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{name}");
    }
    for theorem in ledger::ledger() {
        let page = fs::read_to_string(folder().join("../..").join(&theorem.page)).unwrap();
        let shown = format!("](figures/{}.svg)", theorem.id);
        assert_eq!(page.matches(&shown).count(), 1, "{}: {shown}", theorem.page);
    }
}

/// Writes all pictures.
#[test]
#[ignore = "writes theory/figures and docs/paths.svg"]
fn draw() {
    fs::create_dir_all(folder()).unwrap();
    for (name, svg) in drawings() {
        fs::write(folder().join(name), svg).unwrap();
    }
}

/// Checks that `theory/cards.md` has every claim with every hypothesis, as the registry has them today.
#[test]
fn cards_are_up_to_date() {
    let stored = fs::read_to_string(folder().join("../cards.md")).unwrap();
    // what no run decides, which is all of it but the numbers
    let rows = |text: &str| -> Vec<String> {
        text.lines().filter_map(|l| l.strip_prefix("| ")?.split(" | ").next().map(|w| w.replace('\\', ""))).collect()
    };
    let wanted =
        registry().into_iter().flat_map(|c| ["hypothesis"].into_iter().chain(c.hypotheses.iter().map(|h| h.what)));
    assert_eq!(
        rows(&stored),
        wanted.collect::<Vec<_>>(),
        "cargo test --release -p pushforward-cli --test book -- --ignored, and look at theory/cards.md"
    );
}

/// Writes the cards.
#[test]
#[ignore = "writes theory/cards.md"]
fn write_cards() {
    let evidence: Vec<_> = registry().iter().map(|c| c.run(&Budget::quick())).collect();
    fs::write(folder().join("../cards.md"), cards::markdown(&evidence)).unwrap();
}
