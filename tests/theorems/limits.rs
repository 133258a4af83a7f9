use super::established;

/// Checks on random instances of T13 the gain of a frozen region along random fields and along every shipped drift, the bound and its
/// equality, f* by three roads and Le Cam as steepest descent of the live region; rejects equality for the drifts of the table,
/// f* with e^τ, and efficiencies in a wrong measure.
#[test]
fn t13_fastest_repair_is_a_drift() {
    established("T13");
}

/// Checks the halving times of the page by a solver of its own, Kramers' prefactor and exponent, the capacity identity for every divergence
/// (order 2 in the cells) with its bound along the flow, and two deltas at rest under the shipped field (|z| ≤ 4, chance 6e-5 each);
/// rejects 2𝒞, L²/4, the oscillation of w, and "at rest, hence at the target".
#[test]
fn t14_no_weight_repairs_separated_modes() {
    established("T14");
}

/// Checks on random instances of T15 the dissipation of transport with reaction, both exact laws, the local rate w(1), the page's
/// halving times and the descent of the code step that ships; rejects a wrong sign, a growth that is not centred, f' for φ, w(1)/m_k,
/// and Var_q(φ) for the code step.
#[test]
fn t15_reaction_repairs_masses() {
    established("T15");
}

/// Checks T16 on every multinomial sample of three atoms: the own term's score to 1e-12, the drift's identity by differences of order 2,
/// the order of what is left of the logarithm, the bound of the excess divergence; rejects an independent point, a second correction, and
/// a logarithm that is low.
#[test]
fn t16_the_own_term_is_exact() {
    established("T16");
}

/// Checks T25 on generators with random networks: Z by quadrature over the noise of 1, 2 and 8 centres to 1e-9, and both sides of the bracket
/// of the ELBO; rejects the own centre left out, points without noise, the mixture of other centres, and bounds with the wrong sign.
#[test]
fn t25_one_point_per_centre_gives_z() {
    established("T25");
}
