use super::established;

/// Proves on random instances of T13 the gain of a frozen region along random fields and along every shipped drift, the bound and its
/// equality, f* by three roads and Le Cam as steepest descent of the live region; rejects equality for the drifts of the table,
/// f* with e^τ, and efficiencies in a wrong measure.
#[test]
fn t13_fastest_repair_is_a_drift() {
    established("T13");
}

/// Proves on random instances of T15 the dissipation of transport with reaction, both exact laws, the local rate w(1), the page's
/// halving times and the descent of the code step that ships; rejects a wrong sign, a growth that is not centred, f' for φ, w(1)/m_k,
/// and Var_q(φ) for the code step.
#[test]
fn t15_reaction_repairs_masses() {
    established("T15");
}
