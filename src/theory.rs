//! The theorems behind the code, one page each: statement, assumptions, proof, what the machine checks and what it does not.
//!
//! The pages are the files of the folder `theory/`; `theory/README.md` is the ledger with the status of each, with ways through for an
//! evening, a week and a lecture, [`cards`] what happens without each hypothesis, and [`predictions`] the experiments beside them. A page
//! ends with the files of the items that it names, for readers of the repository; here each of these links is defined first, and so for
//! rustdoc, as the item itself: a renamed function breaks the page that speaks of it.

/// [`density::Density`]: crate::density::Density
/// [`divergence::Divergence::elasticity`]: crate::divergence::Divergence::elasticity
/// [`divergence::Divergence::f`]: crate::divergence::Divergence::f
/// [`divergence::Divergence::first_variation`]: crate::divergence::Divergence::first_variation
/// [`divergence::Divergence::log_weight`]: crate::divergence::Divergence::log_weight
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
///
#[doc = include_str!("../theory/notation.md")]
pub mod notation {}

#[doc = include_str!("../theory/predictions.md")]
pub mod predictions {}

/// A card for each theorem: what was found for it, and what happens without each of its hypotheses.
///
#[cfg_attr(doc, doc = include_str!("../theory/cards.md"))]
pub mod cards {}

/// [`divergence::Custom`]: crate::divergence::Custom
/// [`divergence::Divergence::first_variation`]: crate::divergence::Divergence::first_variation
/// [`divergence::Divergence::log_weight`]: crate::divergence::Divergence::log_weight
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
/// [`divergence::all_divergences`]: crate::divergence::all_divergences
/// [`divergence::check`]: crate::divergence::check
/// [`velocity::drift_into`]: crate::velocity::drift_into
/// [`verify::Comparison::of_ladder`]: crate::verify::Comparison::of_ladder
/// [`verify::Ladder::central`]: crate::verify::Ladder::central
/// [`verify::Nodes::drift`]: crate::verify::Nodes::drift
/// [`verify::Push`]: crate::verify::Push
///
#[doc = include_str!("../theory/T01-universal-velocity.md")]
pub mod t01 {}

/// [`density::GaussianMixture`]: crate::density::GaussianMixture
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
/// [`divergence::all_divergences`]: crate::divergence::all_divergences
/// [`velocity::UniversalDrift`]: crate::velocity::UniversalDrift
/// [`velocity::drift_into`]: crate::velocity::drift_into
/// [`verify::Window`]: crate::verify::Window
///
#[doc = include_str!("../theory/T02-shared-target.md")]
pub mod t02 {}

/// [`divergence::Divergence::first_variation`]: crate::divergence::Divergence::first_variation
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
/// [`divergence::all_divergences`]: crate::divergence::all_divergences
/// [`num::observed_order`]: crate::num::observed_order
/// [`velocity::drift_into`]: crate::velocity::drift_into
/// [`verify::Scene::drift`]: crate::verify::Scene::drift
/// [`verify::integrability::dissipation`]: crate::verify::integrability::dissipation
///
#[doc = include_str!("../theory/T03-dissipation.md")]
pub mod t03 {}

/// [`autodiff::divergence`]: crate::autodiff::divergence
/// [`divergence::Divergence::elasticity`]: crate::divergence::Divergence::elasticity
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
/// [`divergence::check`]: crate::divergence::check
/// [`velocity::drift_into`]: crate::velocity::drift_into
/// [`verify::hessian_of_log`]: crate::verify::hessian_of_log
///
#[doc = include_str!("../theory/T04-compression-elasticity.md")]
pub mod t04 {}

/// [`divergence::Divergence::elasticity`]: crate::divergence::Divergence::elasticity
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
/// [`num::observed_order`]: crate::num::observed_order
/// [`velocity::drift_into`]: crate::velocity::drift_into
/// [`verify::Scene`]: crate::verify::Scene
///
#[doc = include_str!("../theory/T05-regional-response.md")]
pub mod t05 {}

/// [`divergence::Divergence::elasticity`]: crate::divergence::Divergence::elasticity
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
/// [`num::GaussLegendre`]: crate::num::GaussLegendre
/// [`verify::Scene`]: crate::verify::Scene
///
#[doc = include_str!("../theory/T06-level-sets.md")]
pub mod t06 {}

/// [`density::GaussianMixture`]: crate::density::GaussianMixture
/// [`divergence::Divergence::elasticity`]: crate::divergence::Divergence::elasticity
/// [`divergence::Divergence::log_weight`]: crate::divergence::Divergence::log_weight
/// [`verify::Pair::ends_of_powers`]: crate::verify::Pair::ends_of_powers
/// [`verify::integrability`]: crate::verify::integrability
/// [`verify::integrability::dissipation`]: crate::verify::integrability::dissipation
/// [`verify::integrability::value`]: crate::verify::integrability::value
///
#[doc = include_str!("../theory/T07-integrability.md")]
pub mod t07 {}

/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
/// [`divergence::LvSurrogate`]: crate::divergence::LvSurrogate
/// [`divergence::ReverseKl`]: crate::divergence::ReverseKl
/// [`velocity::LogVarianceReference`]: crate::velocity::LogVarianceReference
/// [`velocity::log_variance_cotangent`]: crate::velocity::log_variance_cotangent
/// [`verify::Scene::weighted`]: crate::verify::Scene::weighted
///
#[doc = include_str!("../theory/T08-log-variance.md")]
pub mod t08 {}

/// [`autodiff::Tape`]: crate::autodiff::Tape
/// [`divergence::Divergence::first_variation`]: crate::divergence::Divergence::first_variation
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
/// [`model::Generator::gradient`]: crate::model::Generator::gradient
/// [`run::Run`]: crate::run::Run
/// [`velocity::UniversalDrift`]: crate::velocity::UniversalDrift
/// [`velocity::drift_into`]: crate::velocity::drift_into
///
#[doc = include_str!("../theory/T09-generator-gradient.md")]
pub mod t09 {}

/// [`density::Density::smoothed`]: crate::density::Density::smoothed
/// [`density::GaussianMixture::smoothed_mixture`]: crate::density::GaussianMixture::smoothed_mixture
/// [`estimate::Kde`]: crate::estimate::Kde
/// [`estimate::KdeValues::debiased`]: crate::estimate::KdeValues::debiased
/// [`num::observed_order`]: crate::num::observed_order
///
#[doc = include_str!("../theory/T10-kde-bias.md")]
pub mod t10 {}

/// [`density::Density::smoothed`]: crate::density::Density::smoothed
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
/// [`estimate::Kde`]: crate::estimate::Kde
/// [`velocity::UniversalDrift`]: crate::velocity::UniversalDrift
/// [`velocity::drift_into`]: crate::velocity::drift_into
///
#[doc = include_str!("../theory/T11-smoothed-velocity.md")]
pub mod t11 {}

/// [`autodiff::Tape`]: crate::autodiff::Tape
/// [`autodiff::jacobian`]: crate::autodiff::jacobian
/// [`density::Density`]: crate::density::Density
/// [`model::flow::Base`]: crate::model::flow::Base
/// [`model::flow::Flow`]: crate::model::flow::Flow
/// [`model::flow::Layer`]: crate::model::flow::Layer
/// [`model::flow::Layer::forward_with_score`]: crate::model::flow::Layer::forward_with_score
///
#[doc = include_str!("../theory/T12-change-of-variables.md")]
pub mod t12 {}

/// [`divergence::Custom::from_log_weight`]: crate::divergence::Custom::from_log_weight
/// [`divergence::Divergence`]: crate::divergence::Divergence
/// [`divergence::LeCam`]: crate::divergence::LeCam
/// [`divergence::check`]: crate::divergence::check
///
#[doc = include_str!("../theory/T13-fastest-repair.md")]
pub mod t13 {}

/// [`density::GaussianMixture`]: crate::density::GaussianMixture
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
/// [`num::log_sum_exp`]: crate::num::log_sum_exp
/// [`velocity::UniversalDrift`]: crate::velocity::UniversalDrift
///
#[doc = include_str!("../theory/T14-silent-gaps.md")]
pub mod t14 {}

/// [`density::gmm40`]: crate::density::gmm40
/// [`divergence::Divergence::first_variation`]: crate::divergence::Divergence::first_variation
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
///
#[doc = include_str!("../theory/T15-reaction.md")]
pub mod t15 {}

/// [`estimate::Kde`]: crate::estimate::Kde
/// [`estimate::KdeValues::debiased`]: crate::estimate::KdeValues::debiased
/// [`estimate::KernelEstimator`]: crate::estimate::KernelEstimator
/// [`estimate::Reference`]: crate::estimate::Reference
///
#[doc = include_str!("../theory/T16-finite-particles.md")]
pub mod t16 {}

/// [`divergence::Divergence::elasticity`]: crate::divergence::Divergence::elasticity
/// [`velocity::drift_into`]: crate::velocity::drift_into
///
#[doc = include_str!("../theory/T17-thresholds-of-repair.md")]
pub mod t17 {}

/// [`divergence::Divergence::elasticity`]: crate::divergence::Divergence::elasticity
/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
///
#[doc = include_str!("../theory/T18-one-nonlinear-diffusion.md")]
pub mod t18 {}

/// [`velocity::log_variance_cotangent`]: crate::velocity::log_variance_cotangent
///
#[doc = include_str!("../theory/T19-log-variance-flows.md")]
pub mod t19 {}

/// [`divergence::Divergence::first_variation`]: crate::divergence::Divergence::first_variation
///
#[doc = include_str!("../theory/T20-reaction-sees-no-gap.md")]
pub mod t20 {}

/// [`velocity::drift_into`]: crate::velocity::drift_into
///
#[doc = include_str!("../theory/T21-what-smoothing-destroys.md")]
pub mod t21 {}

/// [`density::Density::log_concavity`]: crate::density::Density::log_concavity
/// [`estimate::Kde`]: crate::estimate::Kde
/// [`metric::KlBound`]: crate::metric::KlBound
/// [`velocity::drift_into`]: crate::velocity::drift_into
///
#[doc = include_str!("../theory/T22-from-score-error-to-law.md")]
pub mod t22 {}

/// [`divergence::Divergence::weight`]: crate::divergence::Divergence::weight
///
#[doc = include_str!("../theory/T23-time-to-repair.md")]
pub mod t23 {}

/// [`divergence::Custom::from_log_weight`]: crate::divergence::Custom::from_log_weight
///
#[doc = include_str!("../theory/T24-minimax-weight.md")]
pub mod t24 {}

/// [`model::Generator`]: crate::model::Generator
/// [`model::CentreDensity`]: crate::model::CentreDensity
///
#[doc = include_str!("../theory/T25-certificate.md")]
pub mod t25 {}

/// [`metric::NoiseLevels`]: crate::metric::NoiseLevels
///
#[doc = include_str!("../theory/T26-de-bruijn.md")]
pub mod t26 {}

/// [`velocity::Riesz`]: crate::velocity::Riesz
/// [`velocity::bernoulli`]: crate::velocity::bernoulli
///
#[doc = include_str!("../theory/T27-riesz-flow-on-the-torus.md")]
pub mod t27 {}

/// [`velocity::FunctionalGradient`]: crate::velocity::FunctionalGradient
/// [`velocity::Young`]: crate::velocity::Young
///
#[doc = include_str!("../theory/T28-generalised-gradients.md")]
pub mod t28 {}

/// [`velocity::Newton`]: crate::velocity::Newton
/// [`velocity::Functional`]: crate::velocity::Functional
/// [`velocity::Perturbed`]: crate::velocity::Perturbed
/// [`velocity::SecondOrder`]: crate::velocity::SecondOrder
/// [`velocity::check_functional`]: crate::velocity::check_functional
///
#[doc = include_str!("../theory/T29-saddle-free-newton.md")]
pub mod t29 {}

/// [`num::min_norm`]: crate::num::min_norm
/// [`velocity::Multi`]: crate::velocity::Multi
///
#[doc = include_str!("../theory/T30-several-targets.md")]
pub mod t30 {}

/// [`transport::divergence`]: crate::transport::divergence
/// [`velocity::SinkhornFlow`]: crate::velocity::SinkhornFlow
///
#[doc = include_str!("../theory/T31-sinkhorn-flow.md")]
pub mod t31 {}

/// [`estimate::PosteriorTarget`]: crate::estimate::PosteriorTarget
/// [`search::posterior::Gate`]: crate::search::posterior::Gate
/// [`search::posterior::Posterior`]: crate::search::posterior::Posterior
///
#[doc = include_str!("../theory/T32-optimal-gate.md")]
pub mod t32 {}

/// [`estimate::ScoreNet`]: crate::estimate::ScoreNet
/// [`velocity::FisherFlow`]: crate::velocity::FisherFlow
///
#[doc = include_str!("../theory/T33-fisher-training.md")]
pub mod t33 {}

/// [`linalg::expm`]: crate::linalg::expm
/// [`symmetry::AffineField`]: crate::symmetry::AffineField
/// [`symmetry::find`]: crate::symmetry::find
///
#[doc = include_str!("../theory/T34-symmetry-from-the-score.md")]
pub mod t34 {}

/// [`estimate::ScoreNet`]: crate::estimate::ScoreNet
/// [`estimate::AffineScore`]: crate::estimate::AffineScore
/// [`velocity::UniversalDrift`]: crate::velocity::UniversalDrift
///
#[doc = include_str!("../theory/T35-score-based-transport.md")]
pub mod t35 {}

/// [`symmetry::find`]: crate::symmetry::find
///
#[doc = include_str!("../theory/T36-conditional-symmetry.md")]
pub mod t36 {}

/// [`model::GeneratorModel`]: crate::model::GeneratorModel
///
#[doc = include_str!("../theory/T37-tangent-kernel.md")]
pub mod t37 {}
