//! The cards of theorems in `verify --report`: formulas in HTML, and what the pages of `theory/` say.

use pushforward::verify::registry;
use pushforward_cli::report::formulas::{formula, paragraphs, sentence};
use pushforward_cli::report::ledger::{LEMMAS, graph, ledger};

/// Checks letters, indices, fractions, marks and words.
#[test]
fn formulas() {
    assert_eq!(
        formula(r"E_q\lvert V_h\rvert^2"),
        "<i>E</i><sub><i>q</i></sub>|<i>V</i><sub><i>h</i></sub>|<sup>2</sup>"
    );
    assert_eq!(formula(r"\frac12\tau_N"), "1/2τ<sub><i>N</i></sub>");
    assert_eq!(formula(r"\frac{a+1}{b}"), "(<i>a</i>+1)/<i>b</i>");
    assert_eq!(formula(r"\hat q < 1"), "<i>q\u{302}</i> &lt; 1");
    assert_eq!(formula(r"\mathrm{KL}(q\Vert p)"), "KL(<i>q</i>‖<i>p</i>)");
    assert_eq!(sentence("see [T3](T03.md): **law** of $`q`$"), "see T3: law of <i>q</i>");
    assert_eq!(formula("{x_"), "<i>x</i><sub></sub>");
    assert_eq!(paragraphs("| a | $`b`$ |\n|---|---|\n| 1 | 2 |").matches("<td>").count(), 4);
    assert_eq!(paragraphs("1. one\n   more\n2. two").matches("<p>").count(), 2);
}

/// Checks that every command in the statements and assumptions of all pages is known.
#[test]
fn all_pages_are_readable() {
    for theorem in ledger() {
        for part in ["Statement", "Assumptions"] {
            let html = paragraphs(&theorem.part(part));
            assert!(!html.contains('\\') && html.len() > 30, "{} {part}: {html}", theorem.id);
        }
    }
}

/// Checks that every claim has its page, row and test, that a proof never leans on itself, and that the graph has an arc for a
/// citation that is known to be there.
#[test]
fn every_claim_has_its_page() {
    let all = ledger();
    let ids: Vec<&str> = all.iter().map(|t| t.id.as_str()).collect();
    assert_eq!(ids, registry().iter().map(|c| c.id).collect::<Vec<_>>());
    for t in &all {
        assert!(t.test.starts_with(&t.id.to_lowercase()), "{}: {}", t.id, t.test);
        assert!(!t.part("Statement").is_empty() && !t.part("Assumptions").is_empty(), "{}", t.id);
        assert!(!t.leans_on().contains(&format!("T{}", t.number)), "{}", t.id);
    }
    assert!(all.iter().filter(|t| t.code().is_empty()).count() <= 1, "a page that names no code");
    let arcs: usize = all.iter().map(|t| t.leans_on().len()).sum();
    assert_eq!(graph(&[]).matches("marker-end").count(), arcs);
    let t03 = all.iter().find(|t| t.id == "T03").unwrap();
    assert!(t03.leans_on().iter().any(|n| LEMMAS.contains(&n.as_str()) || n == "T1"), "{:?}", t03.leans_on());
}
