//! Every claim of `verify` within the quick budget, and the machinery itself.

use pushforward::verify::{Budget, Comparison, Evidence, Without, claim, registry};

mod limits;
mod machinery;
mod own_pairs;
mod sampling;
mod studies;
mod transport;

/// The claim's evidence; panics with its report unless everything holds and every false variant is rejected.
fn established(id: &str) -> Evidence {
    let evidence = claim(id).unwrap().run(&Budget::quick());
    assert!(evidence.holds(), "{evidence}");
    assert!(evidence.all_mutants_caught(), "{evidence}");
    assert!(!evidence.mutants.is_empty(), "{id}: a check that cannot fail proves nothing");
    evidence.mutants.iter().for_each(|m| assert!(m.caught() > 0, "{id}: '{}' was true everywhere", m.what));
    needed(&evidence);
    evidence
}

/// Checks that every hypothesis of the claim has a counter-example whose two sides differ by more than the tolerance, or a reason why none
/// is run; and that what other claims ask of this one is there.
fn needed(evidence: &Evidence) {
    let id = evidence.id;
    let differs = |c: &Comparison| {
        let beyond = c.z.map_or(c.relative_error > c.tolerance || !c.steps.is_empty(), |z| z.abs() > 4.0);
        !c.is_decision() && c.left != c.right && c.left.is_finite() && c.right.is_finite() && beyond
    };
    for dropped in &evidence.hypotheses {
        let what = dropped.hypothesis.what;
        match dropped.hypothesis.without {
            Without::Variant(_) | Without::Instance(_) => {
                let found = dropped.found.as_ref().unwrap_or_else(|| panic!("{id}, {what}: nothing was run"));
                println!("{id}, without '{what}': {found}");
                assert!(dropped.is_caught() && differs(found), "{id}, {what}: {found}");
            }
            Without::Elsewhere(other, _) => assert!(claim(other).is_ok() && other != id, "{id}, {what}: {other}"),
            Without::NotRun(reason) => assert!(reason.len() > 20, "{id}, {what}: {reason}"),
        }
    }
    let asked = registry().into_iter().flat_map(|c| c.hypotheses).filter_map(|h| match h.without {
        Without::Elsewhere(other, name) if other == id => Some(name),
        _ => None,
    });
    for name in asked {
        let mutant = evidence.mutants.iter().find(|m| m.what == name);
        let found =
            mutant.and_then(|m| m.first_caught()).unwrap_or_else(|| panic!("{id} has no false variant '{name}'"));
        assert!(differs(found), "{id}, {name}: {found}");
    }
}

/// Checks that every claim names its hypotheses, each once, and that most have a counter-example that is run.
#[test]
fn every_claim_has_hypotheses() {
    let (mut run, mut all) = (0, 0);
    for c in registry() {
        let names: std::collections::BTreeSet<&str> = c.hypotheses.iter().map(|h| h.what).collect();
        assert!(!names.is_empty() && names.len() == c.hypotheses.len(), "{}", c.id);
        let counter_examples = c.hypotheses.iter().filter(|h| !matches!(h.without, Without::NotRun(_))).count();
        assert!(counter_examples > 0, "{}: nothing shows that a hypothesis is needed", c.id);
        (run, all) = (run + counter_examples, all + c.hypotheses.len());
    }
    println!("{run} of {all} hypotheses have a counter-example that is run");
    assert!(3 * run > 2 * all, "{run} of {all}");
}
