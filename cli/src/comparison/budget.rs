//! A budget of evaluations: how long the runs of a comparison last, and how large their searches are.

use crate::failure::{Failure, Outcome};
use crate::training::Job;
use pushforward::Error;
use pushforward::settings::Value;

/// Trials of a size of a search before it is given up.
const SIZES: usize = 8;
/// Fewest particles of a search that is to be sampled from.
const FEWEST: u64 = 64;

/// Evaluations of the target before the first step, and in it.
fn cost(job: &Job) -> Outcome<(u64, u64)> {
    let mut run = job.begin(None)?;
    let start = run.counts().all().total();
    match run.step() {
        // what it gave up it has asked for all the same
        Ok(_) | Err(Error::TooManyFaults { .. } | Error::Diverged { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((start, run.counts().all().total() - start))
}

/// The same job with as many steps as `budget` evaluations allow, by what a first step costs; where a search is all the work, with as
/// many particles. Refused where that is less than one step, or fewer than 64 particles.
pub fn fit(job: Job, name: &str, budget: u64) -> Outcome<Job> {
    if job.method.model.get("start") == Some(Value::Text("search".into())) {
        return fit_search(job, name, budget);
    }
    let (start, step) = cost(&job)?;
    if start + step > budget {
        return Err(too_small(
            name,
            budget,
            &format!("it asks for {start} before its first step and {step} in each"),
            start + step,
        ));
    }
    let mut job = job;
    // a velocity that asks for nothing takes the steps that it has
    job.method.run.steps = (budget - start).checked_div(step).unwrap_or(job.steps());
    Ok(job)
}

/// The cost of a search is about proportional to its particles.
fn fit_search(mut job: Job, name: &str, budget: u64) -> Outcome<Job> {
    let mut particles = FEWEST;
    job.method.model.set("particles", &Value::Whole(particles))?;
    let least = cost(&job).map(|(start, step)| start + step)?;
    let mut spent = least;
    for _ in 0..SIZES {
        let wanted = (0.97 * particles as f64 * budget as f64 / spent as f64) as u64;
        // close enough from below
        if spent <= budget && wanted < particles + particles / 20 {
            break;
        }
        particles = wanted.max(FEWEST);
        job.method.model.set("particles", &Value::Whole(particles))?;
        spent = cost(&job).map(|(start, step)| start + step)?;
    }
    if spent > budget {
        return Err(too_small(name, budget, &format!("{FEWEST} particles ask for {least}"), least));
    }
    Ok(job)
}

fn too_small(name: &str, budget: u64, why: &str, least: u64) -> Failure {
    Failure::input(format!(
        "--budget {budget} is too small for '{name}': {why} evaluations of the target; give at least {least}, or leave it out"
    ))
}
