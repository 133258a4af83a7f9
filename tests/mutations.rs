//! Edits of shipped code that must be noticed: every `mutant!` in `src/` with the theorems and tests that are asked about it, nearest first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Id of an edit, and who is asked: a theorem at quick budget on each of [`SEEDS`], or a test as `file::name` (`lib` for unit tests; without a
/// name the whole file).
const EDITS: &[(&str, &str)] = &[
    ("banana-chain-rule", "density_laws::scores_are_gradients"),
    ("funnel-determinant", "density_laws::scores_are_gradients"),
    ("blur-of-a-mixture", "density_identities::smoothing_is_convolution T11"),
    ("smoothing-jitter", "density_identities::smoothed_estimate_is_unbiased density_identities"),
    ("control-variate-sign", "density_identities::controlled_score_has_less_variance"),
    ("standardised-jacobian", "density_identities::standardised_by_two_roads T12"),
    ("alpha-elasticity", "divergence_laws::formulas_belong_together T04"),
    ("forward-kl-weight", "divergence_laws::formulas_belong_together T01"),
    ("gan-weight", "divergence_laws::formulas_belong_together T01"),
    ("hellinger-elasticity", "divergence_laws::formulas_belong_together T04"),
    ("jeffreys-variation", "divergence_laws::formulas_belong_together T01 T15"),
    ("jensen-shannon-f", "divergence_laws::formulas_belong_together T01 T02"),
    ("le-cam-elasticity", "divergence_laws::formulas_belong_together T04"),
    ("surrogate-centre", "divergence_laws::formulas_belong_together T04"),
    ("neyman-weight", "divergence_laws::formulas_belong_together T01"),
    ("pearson-slope", "divergence_laws::formulas_belong_together T01"),
    ("affine-row", "particle_laws::affine_score_is_the_moment_recursion T35"),
    ("affine-determinant", "particle_laws::affine_estimate_is_a_density"),
    ("jitter-long", "particle_laws::own_term_is_not_corrected_twice"),
    ("own-point-corrected", "particle_laws::own_term_is_not_corrected_twice"),
    ("blur-of-the-target", "T11"),
    ("trust-dropped", "particle_laws::a_lone_particle_has_little_trust_and_a_bounded_velocity"),
    ("own-term-sign", "particle_laws::own_term_is_not_corrected_twice lib::estimate::kernel kde_laws T16"),
    ("centre-sign", "lib::estimate::log_ratio particle_laws::gaussian_flow_with_the_order_of_the_stepper"),
    ("effective-samples", "lib::estimate::log_ratio"),
    ("target-level", "lib::estimate::target T11"),
    ("target-jacobian", "lib::estimate::target"),
    ("target-chain-rule", "lib::estimate::target"),
    ("debias-sign", "kde_laws::debiased_by_hand T10"),
    ("debias-score", "kde_laws::debiased_by_hand T10"),
    ("kernel-normaliser", "kde_laws::f64_agrees_with_the_plain_loop T10"),
    ("kernel-width", "kde_laws::f64_agrees_with_the_plain_loop T10"),
    ("energy-square", "metric_laws::pair_statistics_against_double_loop"),
    ("mmd-kernel", "metric_laws::pair_statistics_against_double_loop"),
    ("modes-exponent", "metric_report::modes_by_hand"),
    ("modes-width", "metric_report::modes_by_hand"),
    ("pairs-own-term", "metric_laws::pair_statistics_against_double_loop"),
    ("sliced-power", "metric_laws::sliced_shift metric_laws::one_dimension"),
    ("wasserstein-mean", "metric_laws::transport_of_affine_images"),
    ("loss-horizon", "lib::metric::certificate"),
    ("exact-log-z-sign", "certificate_laws::gaussian_closed_forms"),
    ("missed-direction", "certificate_laws::missing_mode"),
    ("pareto-sign", "certificate_laws::true_tail_index"),
    ("ess-power", "certificate_laws::gaussian_closed_forms"),
    ("log-z-error", "certificate_laws::gaussian_closed_forms"),
    ("weights-upside-down", "certificate_laws::reweighted_means"),
    ("stein-diagonal", "hypothesis_laws::stein_against_differences"),
    ("stein-cross-sign", "hypothesis_laws::stein_against_differences"),
    ("generator-jacobian", "generator_laws::densities_are_sums_over_centres T25"),
    ("generator-transposed", "generator_laws::densities_are_sums_over_centres T25"),
    ("generator-kernel", "generator_laws::densities_are_sums_over_centres T25"),
    ("generator-normaliser", "generator_laws::densities_are_sums_over_centres T25"),
    ("own-centre-left-in", "generator_laws::z_has_no_bias T25"),
    ("stratum-share", "generator_laws::z_has_no_bias T25"),
    ("reaction-of-codes", "lib::model::latent T15"),
    ("heun-weights", "particle_laws::gaussian_flow_with_the_order_of_the_stepper"),
    ("births-sign", "particle_laws::birth_and_death_repair_masses_across_a_gap"),
    ("noise-scale", "particle_laws::langevin_has_its_stationary_variance"),
    ("coupling-score", "flow_laws::scores T12"),
    ("coupling-inverse-determinant", "flow_laws::log_determinants T12"),
    ("flow-jacobian", "flow_laws::mass_and_samples flow_laws"),
    ("spline-determinant", "flow_laws::log_determinants T12"),
    ("sinkhorn-value", "transport::symmetry_and_marginals T31"),
    ("drift-sign", "particle_laws::gaussian_flow_with_the_order_of_the_stepper T01"),
    ("growth-sign", "T15"),
    ("fisher-first-difference", "fisher_laws::particles_follow_the_gaussian_laws"),
    (
        "fisher-second-difference",
        "fisher_laws::particles_follow_the_gaussian_laws fisher_laws::differences_are_of_second_order",
    ),
    ("fisher-sign", "fisher_laws::particles_follow_the_gaussian_laws"),
    ("dilation-jacobian", "particle_laws::annealed_scores"),
    ("langevin-noise", "particle_laws::langevin_has_its_stationary_variance"),
    ("mala-density", "particle_laws::langevin_has_its_stationary_variance polish_laws::invariance"),
    ("mala-direction", "polish_laws::invariance particle_laws::langevin_has_its_stationary_variance"),
    ("cotangent-mean", "flow_training::log_variance_is_leave_one_out_reinforce T19"),
    ("replay-upside-down", "lib::velocity::log_variance"),
    ("mmd-gaussian-power", "sinkhorn::kernel_velocities_are_gradients"),
    ("mmd-laplace-power", "sinkhorn::kernel_velocities_are_gradients"),
    ("mmd-own-sign", "sinkhorn::kernel_velocities_are_gradients"),
    ("guidance-sign", "sinkhorn::classes_follow_their_own_samples"),
    ("sinkhorn-not-debiased", "sinkhorn::gaussians_follow_the_exact_flow"),
    ("stein-gaussian-slope", "multi_laws::gram_matrix_by_its_definition multi_laws"),
    ("stein-multiquadric-slope", "multi_laws::gram_matrix_by_its_definition multi_laws"),
    ("stein-linear-repulsion", "particle_laws::stein_follows_the_moment_equations"),
    ("stein-attraction", "multi_laws::reductions particle_laws::stein_on_near_and_far_modes"),
    ("beta-sum", "particle_laws::gaussian_flow_with_the_order_of_the_stepper T11"),
    ("beta-capped", "particle_laws::a_lone_particle_has_little_trust_and_a_bounded_velocity"),
    ("ratio-upside-down", "T11 multi_laws::l2_metric_for_every_divergence"),
    ("young-exponent", "functional_laws::translations T28"),
    ("young-hyperbolic", "functional_laws::hyperbolic_translations"),
    ("newton-cosine-power", "newton_laws::functionals_by_differences"),
    ("newton-own-part", "newton_laws::functionals_by_differences"),
    ("riesz-slope", "riesz_laws::kernels_and_truncation T27"),
    ("riesz-repulsion", "riesz_laws::coulomb_particles_move_on_straight_lines T27"),
    ("riesz-phase", "riesz_laws::kernels_and_truncation"),
    ("score-bound", "lib::metric::score_bound"),
    ("noise-levels-half", "T26"),
    ("noise-levels-ends", "T26"),
    ("target-score-scale", "T32 posterior_laws::exact_draws_have_the_posterior_score"),
    ("scalar-gate-sign", "posterior_laws::gates_on_gaussians"),
    ("matrix-gate-sign", "T32 posterior_laws::gates_on_gaussians"),
    ("posterior-gain", "posterior_laws::exact_draws_have_the_posterior_score"),
    ("importance-mean", "posterior_laws::importance_draws"),
    ("chain-likelihood", "posterior_laws::annealed_draws posterior_laws::persistent_chains"),
    ("symmetry-transposed", "symmetry_laws::eigenvalues_of_the_page T34"),
    ("symmetry-skew", "symmetry_laws::exact_covariance_leaves_few_candidates"),
    ("field-trace", "T34"),
    ("field-bracket", "T34 symmetry_laws"),
    ("own-plan-dropped", "T31 transport::gradient_against_differences"),
    ("phi4-coupling", "density_laws::scores_are_gradients"),
    ("phi4-transfer", "lib::density::phi4"),
    ("pair-force", "density_laws::scores_are_gradients n_body_laws::exact_samples_have_the_virial"),
    ("torus-wave", "T27 riesz_laws"),
    ("multi-divergence", "multi_laws::every_divergence_falls_at_its_rate"),
    ("riesz-order", "riesz_laws::kernels_and_truncation"),
    ("sticks-length", "continual_laws::sums_over_partitions"),
    ("sticks-digamma", "continual_laws::mean_field_stays_below_the_evidence"),
    ("evidence-determinant", "continual_laws::sequential_is_batch continual_laws::sums_over_partitions"),
    ("commutator-sign", "latent_laws"),
    ("gap-of-the-last", "latent_laws"),
];

const TABLE: &str = "docs/mutations.md";

/// The theorem to check in a child process, and the fault planted in it.
const CLAIM: &str = "PUSHFORWARD_CLAIM";
const SWITCH: &str = "PUSHFORWARD_MUTANT";
/// Of the draws of a theorem, which must notice an edit under every one.
const SEED: &str = "PUSHFORWARD_SEED";
const SEEDS: [&str; 3] = ["1", "2", "3"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A `mutant!` in the sources.
struct Edit {
    id: String,
    file: String,
    planted: String,
    shipped: String,
}

/// All of them, in the order of the files.
fn edits() -> Vec<Edit> {
    let (mut open, mut files) = (vec![root().join("src")], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files.retain(|f| !f.ends_with("mutation.rs"));
    files.sort();
    files.iter().flat_map(|file| edits_of(file)).collect()
}

fn edits_of(file: &Path) -> Vec<Edit> {
    let text = fs::read_to_string(file).unwrap();
    let file = file.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
    let one = |rest: &str| {
        let [id, planted, shipped] = arguments(rest)[..].try_into().unwrap_or_else(|_| panic!("{file}: {rest:.60}"));
        Edit { id: id.trim_matches('"').into(), file: file.clone(), planted: planted.into(), shipped: shipped.into() }
    };
    text.split("mutant!(").skip(1).map(one).collect()
}

/// The arguments of a call whose opening bracket stands just before.
fn arguments(rest: &str) -> Vec<&str> {
    let (mut depth, mut from, mut out) = (0, 0, Vec::new());
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                out.push(rest[from..at].trim());
                from = at + 1;
            }
            ')' => {
                out.push(rest[from..at].trim());
                break;
            }
            _ => {}
        }
    }
    out
}

/// Checks that every edit has its row in the runner and in the table with one of those asked, who noticed it, and that none is listed twice or
/// left over.
#[test]
fn every_edit_is_in_the_table() {
    let (edits, table) = (edits(), fs::read_to_string(root().join(TABLE)).unwrap());
    let listed: BTreeMap<&str, &str> = EDITS.iter().copied().collect();
    assert_eq!(
        (listed.len(), EDITS.len()),
        (edits.len(), edits.len()),
        "edits in the runner against those in the sources"
    );
    for edit in &edits {
        let asked =
            listed.get(&*edit.id).unwrap_or_else(|| panic!("{} of {} is not in the runner", edit.id, edit.file));
        let row = format!("| `{}` | `{}` | `{}` | `{}` | ", edit.id, edit.file, edit.shipped, edit.planted);
        let killer = table.lines().find_map(|l| l.strip_prefix(&row)?.strip_suffix(" |"));
        let killer = killer.unwrap_or_else(|| panic!("the table has no row {row}"));
        assert!(asked.split(' ').any(|who| killer == who), "{}: '{killer}' was not asked", edit.id);
    }
    assert_eq!(table.lines().filter(|l| l.starts_with("| `")).count(), edits.len(), "rows of the table");
}

/// In a child process: one theorem at quick budget.
#[test]
#[ignore = "run by every_edit_is_killed"]
fn one_claim() {
    let id = std::env::var(CLAIM).expect("the runner names a theorem");
    let seed = std::env::var(SEED).map_or(1, |seed| seed.parse().expect("a seed"));
    let evidence = pushforward::verify::claim(&id).unwrap().run(&pushforward::verify::Budget::quick().with_seed(seed));
    assert!(evidence.holds() && evidence.all_mutants_caught(), "{evidence}");
}

/// The processes that ask `who` with `fault` planted: one, or one for each seed of a theorem.
fn ask(who: &str, fault: &str) -> Vec<Command> {
    let own = std::env::current_exe().unwrap();
    let mut commands = match who.split_once("::") {
        None if who.starts_with('T') => {
            let one = |seed| {
                let mut command = Command::new(&own);
                command.args(["one_claim", "--exact", "--ignored"]).env(CLAIM, who).env(SEED, seed);
                command
            };
            SEEDS.map(one).into()
        }
        named => {
            let (file, name) = named.unwrap_or((who, ""));
            let mut command =
                Command::new(newest(own.parent().unwrap(), if file == "lib" { "pushforward" } else { file }));
            command.arg(name);
            vec![command]
        }
    };
    for command in &mut commands {
        command.env(SWITCH, fault).current_dir(root()).stdout(Stdio::null()).stderr(Stdio::null());
    }
    commands
}

/// The newest test binary of that name in a folder.
fn newest(folder: &Path, name: &str) -> PathBuf {
    let is_one = |p: &PathBuf| {
        let stem = p.file_name().and_then(|n| n.to_str()).and_then(|n| n.rsplit_once('-'));
        p.extension().is_none_or(|e| e == "exe") && stem.is_some_and(|(stem, _)| stem == name)
    };
    let found = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(is_one);
    let newest = found.max_by_key(|p| fs::metadata(p).unwrap().modified().unwrap());
    newest.unwrap_or_else(|| panic!("no test binary of {name}: build all tests with --cfg mutations first"))
}

/// Whether the process ends well within the time; what does not end is noticed too.
fn passes(mut command: Command, limit: Duration) -> bool {
    let (mut child, start) = (command.spawn().unwrap(), Instant::now());
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Checks that each edit is killed by one of those asked about it, all of which pass without an edit, and writes the table.
///
/// `RUSTFLAGS="--cfg mutations" cargo test --release -p pushforward --target-dir target/mutations --test mutations -- --ignored every_edit`,
/// after the same with `--tests --no-run`; a minute and a half of one core.
#[test]
#[ignore = "needs a build with --cfg mutations of all tests"]
fn every_edit_is_killed() {
    if !cfg!(mutations) {
        panic!("nothing can be planted in this build: set RUSTFLAGS=\"--cfg mutations\"");
    }
    let (asked, mut healthy) = (EDITS.iter().copied().collect::<BTreeMap<_, _>>(), BTreeMap::new());
    let (mut rows, mut survivors) = (Vec::new(), Vec::new());
    for edit in edits() {
        let killer = asked[&*edit.id].split(' ').find(|who| {
            let time = healthy.entry(who.to_string()).or_insert_with(|| {
                let start = Instant::now();
                for command in ask(who, "") {
                    assert!(passes(command, Duration::from_secs(900)), "{who} fails without an edit");
                }
                start.elapsed()
            });
            let limit = 5 * *time + Duration::from_secs(60);
            ask(who, &edit.id).into_iter().all(|command| !passes(command, limit))
        });
        println!("{}: {killer:?}", edit.id);
        match killer {
            Some(who) => rows
                .push(format!("| `{}` | `{}` | `{}` | `{}` | {who} |", edit.id, edit.file, edit.shipped, edit.planted)),
            None => survivors.push(edit.id),
        }
    }
    assert!(survivors.is_empty(), "nobody notices {survivors:?}");
    let path = root().join(TABLE);
    let text = fs::read_to_string(&path).unwrap();
    let head: Vec<&str> = text.lines().take_while(|l| !l.starts_with("| `")).collect();
    fs::write(path, format!("{}\n{}\n", head.join("\n"), rows.join("\n"))).unwrap();
}
