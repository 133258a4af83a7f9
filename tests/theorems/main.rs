//! Every claim of `verify` within the quick budget, and the machinery itself.

use pushforward::verify::{Budget, Evidence, claim};

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
    evidence
}
