use super::established;

/// Checks on random generators (codes with overlapping images; a curved network) that the training gradient of the shipped code with
/// cotangent -V is the derivative of D_f(p‖q_θ) by quadrature, order 2, for every divergence; rejects the other sign, a loss without its
/// one half, a wrong weight, V in another order than z, and V differentiated too.
#[test]
fn t09_training_gradient_is_that_of_the_divergence() {
    established("T09");
}

/// Checks on random instances of T10 the smoothing bias to order 2 and what it leaves to order 4, the variance of the score by z-scores
/// (|z| ≤ 4, chance 6e-5 each), the sampling bias of log q̂ and of its gradient and that the shipped correction leaves order 2 (exact
/// expectations), the resting variances of both drifts, and escape or return of an isolated particle; rejects wrong factors and orders.
#[test]
fn t10_kernel_estimate_of_the_score() {
    established("T10");
}

/// Checks on random particles that D_f(p_h‖q_h) falls along φ_h ∗ (w(r_h)β_h) made of the shipped estimate and drift, order 2, with Jensen's
/// inequality; the sampling bias of powers; that the whole shipped field rests in mean at q = p (|z| ≤ 4, chance 4e-4 each); and its mean over
/// 2¹⁶ jitters of one cloud in the plane; rejects the raw field, an unblurred p, another bandwidth for q, the unmatched drift, and for the
/// cloud another jitter, size or component.
#[test]
fn t11_smoothed_velocity_is_a_gradient() {
    established("T11");
}

/// Checks on random stacks of scalings, linear maps, tanh bends and triangular maps that the layers' log-determinants sum to that of the
/// dense Jacobian by LU, that the recursion gives the score that differences of log q at inverted points show (order 2), and that
/// q has mass 1; rejects a wrong sign, the determinant at y, and a recursion without its gradient.
#[test]
fn t12_change_of_variables() {
    established("T12");
}
