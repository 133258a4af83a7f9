use super::established;

/// Checks on random instances of T13 the gain of a frozen region along random fields and along every shipped drift, the bound and its
/// equality, f* by three computations and Le Cam as steepest descent of the live region; rejects equality for the drifts of the table,
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

/// Checks T16 on every sample of two or three atoms, independent ones and an urn's: the own term's score to 1e-12, the drift's identity by
/// differences of order 2, the order of what is left of the logarithm, of the drift and of the divergence of the estimate, its fall in N and its
/// bound; rejects an independent point, a second correction, a logarithm that is low, a drift without bias, and the τ of independent particles.
#[test]
fn t16_the_own_term_is_exact() {
    established("T16");
}

/// Checks T17 on random windowed steps: p- and q-mass above a level by the moved boundary (order 2), the average over levels, the
/// reaction, and the running example with its e_c; rejects e - 1 for e in the q-mass, a wrong sign, and "every drift repairs".
#[test]
fn t17_elasticity_decides_repair() {
    established("T17");
}

/// Checks T18 on random chains: range, order, contraction in total variation, both rates, and what is common near p to second order
/// (orders 2 and 3 fitted); rejects contraction in L², the rate at p from the start, and agreement with reverse KL.
#[test]
fn t18_every_flow_is_one_diffusion() {
    established("T18");
}

/// Checks T20 on chains with a closed gap: sup p/q, KL(p‖q) and total variation below the scalar equation, (H) for the table, closed
/// forms and an equality; rejects Pearson, α > 1, and the rate of reverse KL for Neyman.
#[test]
fn t20_reaction_sees_no_gap() {
    established("T20");
}

/// Checks T21 for one and two particles and every pair of divergences (order 2), with the page's digits; rejects collinearity, descent
/// across divergences, descent of U_h, and the formula for one particle at two.
#[test]
fn t21_smoothing_destroys_descent() {
    established("T21");
}

/// Checks T22: the bounds at rest, their equality, the bounds along Gaussian flows and a kernel estimate's best mean square; rejects
/// half of each bound, a density with a jump, and the rate 2ρ.
#[test]
fn t22_score_error_bounds_the_law() {
    established("T22");
}

/// Checks T23: two states reach half of the imbalance when the integral says so, the page's table, and the flow on cells at two gaps;
/// rejects one time for every weight, and the formula as exact at a finite gap.
#[test]
fn t23_one_integral_gives_the_time() {
    established("T23");
}

/// Checks T24 on the page's pair (three figures) and random ones: the shortest combination attains its square, and no divergence and no
/// signed weight does better; rejects the average, the ends and the sum without norms.
#[test]
fn t24_the_shortest_combination_is_minimax() {
    established("T24");
}

/// Checks T19: growth of short waves for three references, silent references, the rate near p on random chains and its bound with the page's
/// figures, Var_m(l) that falls while total variation grows, and the response of a soft region (order 2); rejects ω without δ, that no
/// reference or every reference is silent or faster than m = p, and a missing cross term.
#[test]
fn t19_log_variance_flows() {
    established("T19");
}

/// Checks T25 on generators with random networks: Z by quadrature over the noise of 1, 2 and 8 centres to 1e-9, and both sides of the bracket
/// of the ELBO; rejects the own centre left out, points without noise, the mixture of other centres, and bounds with the wrong sign.
#[test]
fn t25_one_point_per_centre_gives_z() {
    established("T25");
}

/// Checks T31 on weighted clouds (the gradient by differences, both limits of ε) and on Gaussians (velocity, value, rate, the collapsed start);
/// rejects missing and wrong self-terms, the laws of ε = 0, and no debiasing.
#[test]
fn t31_sinkhorn_flow() {
    established("T31");
}

/// Checks T36 on rings whose middle and radius move with y and on posteriors with a round prior: dimensions, invariance of log p(x|y) and of y
/// along what is found, and that the residual given y is that of the marginal and orthogonal noise; rejects so(k + 1), a centre that does not
/// move with y, and every symmetry of the marginal.
#[test]
fn t36_symmetries_given_a_coordinate() {
    established("T36");
}

/// Checks T37 on generators with random networks on the line: means of bumps move by KV, every divergence falls at |E JᵀV|² along the training
/// gradient and at E|PV|² by a Gauss-Newton step, and the cosine of KV with V is at most that of PV; rejects samples that move by V, by their
/// own part of K, and descent at E|V|².
#[test]
fn t37_a_trained_law_moves_by_the_tangent_kernel() {
    established("T37");
}

/// Checks T26 on random pairs: KL against the levels of noise that ship, its derivative in σ², noise (a, s), and the estimate from samples;
/// the variants without the half, over σ, under p, and at fine levels alone are false.
#[test]
fn t26_kl_from_scores_at_noise_levels() {
    established("T26");
}

/// Checks T27 on the circle: the dissipation of KL with kernels of order 1, 2, 3 by exact pushes, Coulomb particles, rates of equidistant particles, the
/// slowest rate at three laws by two eigensolves, and exponents of slow decay; rejects the rate min p, the continuum's rates at N particles,
/// KSD² without the score or in another norm, and wrong exponents.
#[test]
fn t27_riesz_flow_on_the_circle() {
    established("T27");
}

/// Checks T28: the dissipation of every divergence along windowed fields with q = 1.5, 2, 3, 4 by exact pushes, that none is faster per unit of L2 length
/// than q = 2, translations with their extinction, Euler's orbit and its multiplier, and the bound that translations attain; rejects rates of
/// p = 2, p for q, other extinctions and amplitudes, and exponential rates.
#[test]
fn t28_generalised_gradients() {
    established("T28");
}

/// Checks T29 on 20 particles: descent of every step with its cubic term, multipliers at saddles and minima, an exact recursion, as many steps from
/// saddles of three depths, smallest eigenvalues in closed form, and the bound of the second-order certificate for 1,000 maps; rejects it at a
/// saddle and along a symmetry, Newton's and gradient descent's multipliers, and a Hessian without its factor N.
#[test]
fn t29_saddle_free_newton() {
    established("T29");
}

/// Checks T30 on two and three Gaussian targets and five divergences: every rate of descent by differences of quadratures to 1e-6, and that none
/// is below the shortest combination's; rejects rates without cross terms, of equal weights, and without the weight w.
#[test]
fn t30_every_divergence_falls() {
    established("T30");
}

/// Checks T34: residuals against differences along affine flows, the dimension of the symmetries of Gaussians and round laws in 2 to 5 dimensions,
/// their covariance, mean and brackets, and averages over a group for four divergences; rejects a missing trace, A transposed, all of
/// gl(d), so(d) for every density, A skew without C⁻¹, one time in place of all, a mean residual, a jump and a wrong group.
#[test]
fn t34_symmetries_are_a_null_space() {
    established("T34");
}
