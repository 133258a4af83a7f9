//! The pages of `theory/` as the report needs them: status, test, parts, and which theorem leans on which.

use crate::style::{GREEN, INK, MODEL, escape};
use crate::verification::{Status, status};
use pushforward::verify::Evidence;
use std::fmt::Write;

const LEDGER: &str = include_str!("../../../theory/README.md");

const PAGES: &[&str] = &[
    include_str!("../../../theory/T01-universal-velocity.md"),
    include_str!("../../../theory/T02-shared-target.md"),
    include_str!("../../../theory/T03-dissipation.md"),
    include_str!("../../../theory/T04-compression-elasticity.md"),
    include_str!("../../../theory/T05-regional-response.md"),
    include_str!("../../../theory/T06-level-sets.md"),
    include_str!("../../../theory/T07-integrability.md"),
    include_str!("../../../theory/T08-log-variance.md"),
    include_str!("../../../theory/T09-generator-gradient.md"),
    include_str!("../../../theory/T10-kde-bias.md"),
    include_str!("../../../theory/T11-smoothed-velocity.md"),
    include_str!("../../../theory/T12-change-of-variables.md"),
    include_str!("../../../theory/T13-fastest-repair.md"),
    include_str!("../../../theory/T14-silent-gaps.md"),
    include_str!("../../../theory/T15-reaction.md"),
    include_str!("../../../theory/T16-finite-particles.md"),
    include_str!("../../../theory/T17-thresholds-of-repair.md"),
    include_str!("../../../theory/T18-one-nonlinear-diffusion.md"),
    include_str!("../../../theory/T19-log-variance-flows.md"),
    include_str!("../../../theory/T20-reaction-sees-no-gap.md"),
    include_str!("../../../theory/T21-what-smoothing-destroys.md"),
    include_str!("../../../theory/T22-from-score-error-to-law.md"),
    include_str!("../../../theory/T23-time-to-repair.md"),
    include_str!("../../../theory/T24-minimax-weight.md"),
    include_str!("../../../theory/T25-certificate.md"),
    include_str!("../../../theory/T26-de-bruijn.md"),
    include_str!("../../../theory/T27-riesz-flow-on-the-torus.md"),
    include_str!("../../../theory/T28-generalised-gradients.md"),
    include_str!("../../../theory/T29-saddle-free-newton.md"),
    include_str!("../../../theory/T30-several-targets.md"),
    include_str!("../../../theory/T31-sinkhorn-flow.md"),
    include_str!("../../../theory/T32-optimal-gate.md"),
    include_str!("../../../theory/T33-fisher-training.md"),
    include_str!("../../../theory/T34-symmetry-from-the-score.md"),
    include_str!("../../../theory/T35-score-based-transport.md"),
    include_str!("../../../theory/T36-conditional-symmetry.md"),
    include_str!("../../../theory/T37-tangent-kernel.md"),
];

/// A theorem as its page and the ledger have it.
pub struct Theorem {
    /// "T01".
    pub id: String,
    /// 1 of "T01".
    pub number: usize,
    /// "proved", "cited", "open", or which parts are what.
    pub status: String,
    /// Its test.
    pub test: String,
    /// The page in the repository.
    pub page: String,
    text: &'static str,
}

/// All theorems in order.
pub fn ledger() -> Vec<Theorem> {
    let rows = LEDGER.lines().filter(|l| l.starts_with("| [T"));
    let cells = |l: &str| l.trim_matches('|').split('|').map(|c| c.trim().to_string()).collect::<Vec<_>>();
    let one = |row: Vec<String>| {
        let [name, _, _, test, status] = &row[..] else { return None };
        let (number, page) = name.trim_start_matches("[T").trim_end_matches(')').split_once("](")?;
        let number: usize = number.parse().ok()?;
        let text = PAGES.iter().find(|text| text.starts_with(&format!("# T{number} ")))?;
        let (test, status, page) = (test.trim_matches('`').into(), status.clone(), format!("theory/{page}"));
        Some(Theorem { id: format!("T{number:02}"), number, status, test, page, text })
    };
    rows.map(cells).filter_map(one).collect()
}

impl Theorem {
    /// The part of its page below this heading.
    pub fn part(&self, heading: &str) -> String {
        let from = self.text.split_once(&format!("\n## {heading}\n")).map_or("", |(_, rest)| rest);
        from.split("\n## ").next().unwrap_or_default().trim().to_owned()
    }

    /// The items and files that its page names as the code.
    pub fn code(&self) -> Vec<String> {
        let part = self.part("In the code");
        let words = part.split('`').skip(1).step_by(2);
        words.filter(|w| w.contains("::") || w.starts_with("src/")).map(str::to_owned).collect()
    }

    /// What its proof leans on: "A" to "E" for lemmas of the notation, numbers of theorems.
    pub fn leans_on(&self) -> Vec<String> {
        let proof = self.part("Proof");
        // what follows the end of the last proof are remarks
        let end = proof.rfind('∎').max(proof.rfind("\\square")).unwrap_or(proof.len());
        let proof = &proof[..end];
        let words: Vec<&str> =
            proof.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
        let mut out = Vec::new();
        for (k, word) in words.iter().enumerate() {
            let theorem =
                word.strip_prefix('T').and_then(|d| d.parse::<usize>().ok()).filter(|n| *n != self.number && *n < 100);
            // "Lemma B", "Lemmas A and B", "Lemmas A–C", but no mean E after "and"
            let before = |n: usize| k.checked_sub(n).map_or("", |i| words[i]);
            let first = |word: &str| ["Lemma", "Lemmas"].contains(&word);
            let listed = first(before(1))
                || (first(before(2)) && LEMMAS.contains(&before(1)))
                || (first(before(3)) && LEMMAS.contains(&before(2)) && before(1) == "and");
            let lemma = listed && LEMMAS.contains(word);
            let name = theorem.map(|n| format!("T{n}")).or(lemma.then(|| word.to_string()));
            out.extend(name.filter(|name| !out.contains(name)));
        }
        out
    }

    /// Whether the proof is whole, rests on a cited result, or has an open part.
    fn stroke(&self) -> &'static str {
        if self.status.contains("open") {
            "1 4"
        } else if self.status.contains("cited") {
            "6 3"
        } else {
            ""
        }
    }
}

/// The lemmas of `theory/notation.md`.
pub const LEMMAS: [&str; 5] = ["A", "B", "C", "D", "E"];

/// Distance of two nodes, their radius, and the height of the line on which they stand.
const STEP: f64 = 32.5;
const RADIUS: f64 = 13.5;
const LINE: f64 = 190.0;
const HEIGHT: f64 = 290.0;

/// What a node is filled with, its words for a pointer that rests on it, and where it leads.
struct Node {
    fill: &'static str,
    title: String,
    link: String,
}

/// All theorems on a line, an arc from each to what its proof leans on; the border is the status of the proof, the fill the evidence of this run.
pub fn graph(evidence: &[Evidence]) -> String {
    let node = |theorem: &Theorem| {
        let found = evidence.iter().find(|e| e.id == theorem.id);
        let fill = match found.map(status) {
            Some(Status::Holds) => HOLDS,
            Some(Status::Fails) => "#f2b9a0",
            Some(_) => "#f7dfa5",
            None => "#fff",
        };
        let title = format!("{}, {}", theorem.id, theorem.status);
        let title = found.map_or(title.clone(), |e| format!("{title}: {}", e.title));
        Node { fill, title, link: found.map_or(String::new(), |_| format!(" href=\"#{}\"", theorem.id)) }
    };
    format!(
        "<section><h2>Which proof leans on which</h2>\n{}<p class=\"caption\">An arrow leads from a theorem to what its proof uses: above the line to \
         earlier ones, below to later ones. A to E are the lemmas of theory/notation.md. Border: solid where the proof is complete, dashed \
         where it rests on a cited result, dotted where a part is open. Fill: green where every instance of this run holds, vermilion where \
         one fails, yellow where none decides, white where it was not run. A circle leads to its card.</p></section>\n",
        drawing(node).1
    )
}

/// The same as a file for `theory/README.md`, green where the verifier has a claim; a circle leads to its page.
pub fn picture() -> String {
    let claims = pushforward::verify::registry();
    let node = |theorem: &Theorem| {
        let claim = claims.iter().find(|c| c.id == theorem.id);
        let title = format!("{}, {}: {}", theorem.id, theorem.status, claim.map_or("no claim", |c| c.title));
        let page = theorem.page.trim_start_matches("theory/");
        Node { fill: if claim.is_some() { HOLDS } else { "#fff" }, title, link: format!(" href=\"../{page}\"") }
    };
    let (width, svg) = drawing(node);
    super::picture::picture(&[svg], 1, (width, HEIGHT))
}

/// Fill of what holds.
const HOLDS: &str = "#bfe5d8";

/// Width and text of the `<svg>` element.
fn drawing(of: impl Fn(&Theorem) -> Node) -> (f64, String) {
    let theorems = ledger();
    let names: Vec<String> =
        LEMMAS.iter().map(|l| l.to_string()).chain(theorems.iter().map(|t| format!("T{}", t.number))).collect();
    let x = |k: usize| STEP * (k as f64 + 0.6);
    let (mut arcs, mut nodes) = (String::new(), String::new());
    for (k, name) in names.iter().enumerate() {
        let theorem = k.checked_sub(LEMMAS.len()).map(|k| &theorems[k]);
        let lemma = || Node { fill: "#eee", title: format!("Lemma {name}"), link: String::new() };
        let Node { fill, title, link } = theorem.map_or_else(lemma, &of);
        let (title, dash) = (escape(&title), theorem.map_or("", Theorem::stroke));
        let _ = writeln!(
            nodes,
            "<a{link}><title>{title}</title><circle cx=\"{:.1}\" cy=\"{LINE}\" r=\"{RADIUS}\" fill=\"{fill}\" stroke=\"{INK}\" \
             stroke-width=\"2\" stroke-dasharray=\"{dash}\"/><text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11.5\" text-anchor=\"middle\">{name}</text></a>",
            x(k),
            x(k),
            LINE + 4.0
        );
        for needed in theorem.map(Theorem::leans_on).unwrap_or_default() {
            let Some(j) = names.iter().position(|n| *n == needed) else { continue };
            // to what comes earlier above the line, to what comes later below it
            let (up, colour) = if j < k { (true, GREEN) } else { (false, MODEL) };
            let (rx, y) = ((x(k) - x(j)).abs() / 2.0, if up { LINE - RADIUS } else { LINE + RADIUS });
            let ry = if up { (0.36 * rx + 6.0).min(LINE - RADIUS - 6.0) } else { 0.2 * rx + 6.0 };
            let _ = writeln!(
                arcs,
                "<path d=\"M{:.1} {y:.1}A{rx:.1} {ry:.1} 0 0 0 {:.1} {y:.1}\" fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.55\" \
                 stroke-width=\"1.3\" marker-end=\"url(#used)\"/>",
                x(k),
                x(j)
            );
        }
    }
    let width = STEP * (names.len() as f64 + 0.2);
    let svg = format!(
        "<svg viewBox=\"0 0 {width:.0} {HEIGHT}\" width=\"{width:.0}\" role=\"img\" aria-label=\"Dependencies of the \
         theorems\">\n<marker id=\"used\" viewBox=\"0 0 6 6\" refX=\"5\" refY=\"3\" markerWidth=\"5\" markerHeight=\"5\" orient=\"auto\"><path d=\"M0 \
         0L6 3L0 6Z\"/></marker>\n{arcs}{nodes}</svg>\n"
    );
    (width, svg)
}
