//! Evidence as JSON. Keys never change; `version` counts additions that would break a reader.

use crate::files::json::real;
use crate::verification::{Request, Tally, status, word};
use pushforward::verify::{Comparison, Dropped, Evidence, Mutant, Verdict, Without};
use serde_json::{Value, json};

/// Everything that was found; the same for any number of threads.
pub fn json(request: &Request, evidence: &[Evidence]) -> Value {
    let tally = Tally::of(evidence);
    let (p, q) = request.pair.clone().unzip();
    let divergences: Vec<String> = request.budget.divergences().iter().map(|d| d.name().to_owned()).collect();
    json!({
        "version": 1,
        "pushforward": env!("CARGO_PKG_VERSION"),
        "budget": request.size(),
        "seed": request.budget.seed,
        "dim": request.budget.pair.as_ref().map(|p| p.dim()).or(request.budget.dim),
        "divergences": divergences,
        "p": p,
        "q": q,
        "summary": {
            "claims": evidence.len(), "claims_that_hold": tally.claims,
            "hold": tally.held, "fail": tally.failed, "unresolved": tally.unresolved, "refused": tally.refused,
            "false_variants_tried": tally.tried, "false_variants_caught": tally.caught,
        },
        "claims": evidence.iter().map(claim).collect::<Vec<Value>>(),
    })
}

fn claim(e: &Evidence) -> Value {
    json!({
        "id": e.id,
        "title": e.title,
        "verdict": status(e).word().to_lowercase(),
        "instances": e.comparisons.iter().map(comparison).collect::<Vec<Value>>(),
        "false_variants": e.mutants.iter().map(mutant).collect::<Vec<Value>>(),
        "hypotheses": e.hypotheses.iter().map(|h| hypothesis(e, h)).collect::<Vec<Value>>(),
    })
}

/// A hypothesis with what was found without it; where another claim runs its counter-example, that claim has the numbers.
fn hypothesis(e: &Evidence, dropped: &Dropped) -> Value {
    let (claim, variant, reason) = match dropped.hypothesis.without {
        Without::Variant(variant) => (Some(e.id), Some(variant), None),
        Without::Elsewhere(claim, variant) => (Some(claim), Some(variant), None),
        Without::Instance(_) => (Some(e.id), None, None),
        Without::NotRun(reason) => (None, None, Some(reason)),
    };
    json!({
        "what": dropped.hypothesis.what,
        "claim": claim,
        "false_variant": variant,
        "not_run": reason,
        "counter_example": dropped.found.as_ref().map(comparison),
    })
}

fn mutant(m: &Mutant) -> Value {
    json!({
        "what": m.what,
        "tried": m.tried(),
        "true_here": m.true_here(),
        "caught": m.caught(),
        "missed": m.missed().map(comparison).collect::<Vec<Value>>(),
    })
}

/// A refused instance has no numbers, and where |z| decides there is no tolerance: these are null.
fn comparison(c: &Comparison) -> Value {
    let reason = if let Verdict::Refused(reason) = &c.verdict { Some(reason) } else { None };
    let number = |x: f64| if reason.is_some() && x.is_nan() { Value::Null } else { real(x) };
    let assumptions: Vec<Value> = c
        .assumptions
        .iter()
        .map(|a| json!({ "what": a.what, "value": real(a.value), "limit": real(a.limit), "met": a.met() }))
        .collect();
    json!({
        "id": c.id,
        "instance": c.instance,
        "left": number(c.left),
        "right": number(c.right),
        "scale": number(c.scale),
        "relative_error": number(c.relative_error),
        "tolerance": (c.tolerance < f64::INFINITY).then(|| number(c.tolerance)),
        "steps": c.steps,
        "errors": c.errors.iter().map(|e| number(*e)).collect::<Vec<Value>>(),
        "expected_order": c.expected_order,
        "observed_order": c.observed_order.map(|o| number(o.order)),
        "observed_order_error": c.observed_order.map(|o| number(o.order_error)),
        "z": c.z.map(number),
        "assumptions": assumptions,
        "redrawn": c.redrawn,
        "verdict": word(&c.verdict).to_lowercase(),
        "reason": reason,
    })
}
