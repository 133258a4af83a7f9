use super::established;

/// Proves on random instances of T1, over all divergences, that differences of D_f meet -E_q[ξ·V] at order 2, and that a wrong weight, a wrong
/// sign and a pushed density without its determinant are seen.
#[test]
fn t01_velocity_is_the_gradient() {
    established("T01");
}
