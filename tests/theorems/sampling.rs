use super::established;

/// Proves on random generators (codes with overlapping images; a curved network) that the training gradient of the shipped code with
/// cotangent -V is the derivative of D_f(p‖q_θ) by quadrature, order 2, for every divergence; rejects the other sign, a loss without its
/// one half, a wrong weight, V in another order than z, and V differentiated too.
#[test]
fn t09_training_gradient_is_that_of_the_divergence() {
    established("T09");
}

/// Proves on random stacks of scalings, linear maps, tanh bends and triangular maps that the layers' log-determinants sum to that of the
/// dense Jacobian by LU, that the recursion gives the score that differences of log q at inverted points show (order 2), and that
/// q has mass 1; rejects a wrong sign, the determinant at y, and a recursion without its gradient.
#[test]
fn t12_change_of_variables() {
    established("T12");
}
