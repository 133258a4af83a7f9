//! What the library is told: the configuration with the trainer's own choice wherever nothing was given, and the way back.

use super::{Config, Couplings, Training};
use crate::failure::{Failure, Outcome};
use pushforward::density::Affine;
use pushforward::density::Density;
use pushforward::divergence::Divergence;
use pushforward::model::flow::{CouplingKind, FlowSettings, Objective, Reference};
use pushforward::run::Settings;
use std::sync::Arc;

/// Bins of a spline coupling and its interval in units of the frame.
const BINS: usize = 8;
const REACH: f64 = 4.0;

/// The part of a flow's settings that generators have too.
fn shared(f: FlowSettings) -> Settings {
    let FlowSettings { steps, batch, hidden, learning_rate, anneal, clip, reaction, .. } = f;
    Settings { steps, batch, hidden, learning_rate, anneal, clip, reaction, ..Settings::default() }
}

impl Config {
    /// What the trainer is told: its own choice wherever nothing was given.
    pub fn settings(&self, target: &dyn Density) -> Outcome<Settings> {
        let d = match self.method {
            Training::Kde => Settings::for_target(target),
            Training::Flow | Training::FlowLv => shared(FlowSettings::for_target(target)),
        };
        let frame = match (&self.centre, self.scale) {
            (Some(centre), Some(scale)) => Some(Affine::new(centre.clone(), scale)?),
            (None, None) => None,
            _ => return Err(Failure::input("only one of centre and scale is given; give both or neither")),
        };
        let settings = Settings {
            steps: self.steps.map_or(d.steps, |s| s as u64),
            batch: self.batch.unwrap_or(d.batch),
            reference: self.reference.unwrap_or(d.reference),
            codes: self.codes.unwrap_or(d.codes),
            hidden: self.hidden.clone().unwrap_or(d.hidden),
            learning_rate: self.learning_rate.unwrap_or(d.learning_rate),
            bandwidth_start: self.bandwidth_start.unwrap_or(d.bandwidth_start),
            bandwidth_end: self.bandwidth_end.unwrap_or(d.bandwidth_end),
            anneal: self.anneal.unwrap_or(d.anneal),
            neighbours: self.neighbours.unwrap_or(d.neighbours),
            clip: self.clip.unwrap_or(d.clip),
            draws: self.draws.unwrap_or(d.draws),
            reaction: self.reaction.unwrap_or(d.reaction),
            frame,
            seed: self.seed,
        };
        settings.check()?;
        if self.method != Training::Kde {
            self.flow_settings(target, &settings).check()?;
            self.objective(None)?;
        }
        Ok(settings)
    }

    /// What the trainer of a flow is told; `s` are this configuration's [`Config::settings`].
    pub fn flow_settings(&self, target: &dyn Density, s: &Settings) -> FlowSettings {
        let d = FlowSettings::for_target(target);
        FlowSettings {
            steps: s.steps,
            batch: s.batch,
            coupling: match self.flow {
                None => d.coupling,
                Some(Couplings::Realnvp) => CouplingKind::Affine,
                Some(Couplings::Spline) => CouplingKind::Spline { bins: BINS, reach: REACH },
            },
            couplings: self.couplings.unwrap_or(d.couplings),
            hidden: s.hidden.clone(),
            components: self.components.or(d.components),
            learning_rate: s.learning_rate,
            temper: self.temper.unwrap_or(d.temper),
            anneal: s.anneal,
            clip: s.clip,
            reaction: s.reaction,
            frame: s.frame.clone(),
            seed: s.seed,
        }
    }

    /// What a flow is trained by: the log-variance divergence with its reference, or the drift of `divergence`.
    pub fn objective(&self, divergence: Option<Arc<dyn Divergence>>) -> Outcome<Objective> {
        Ok(match (self.method, divergence) {
            (Training::FlowLv, _) => Objective::LogVariance(Reference::by_name(self.reference_name())?),
            (_, Some(divergence)) => Objective::Drift(divergence),
            (_, None) => Objective::Drift(pushforward::divergence::by_name(&self.divergence)?),
        })
    }

    /// The reference of the log-variance divergence, by name.
    pub fn reference_name(&self) -> &str {
        self.lv_reference.as_deref().unwrap_or("replay")
    }

    /// What is trained by, in a word or two for names of folders and reports.
    pub fn objective_name(&self) -> String {
        match self.method {
            Training::Kde => self.divergence.clone(),
            Training::Flow => format!("flow-{}", self.divergence),
            Training::FlowLv => format!("flow-lv-{}", self.reference_name().replace(':', "-")),
        }
    }

    /// This configuration with every choice of the trainer written out, so that it repeats the run even if defaults change.
    pub fn resolved(&self, target: &dyn Density, s: &Settings) -> Self {
        if self.method != Training::Kde {
            return self.resolved_flow(&self.flow_settings(target, s));
        }
        Self {
            steps: Some(s.steps as usize),
            batch: Some(s.batch),
            reference: Some(s.reference),
            codes: Some(s.codes),
            hidden: Some(s.hidden.clone()),
            learning_rate: Some(s.learning_rate),
            bandwidth_start: Some(s.bandwidth_start),
            bandwidth_end: Some(s.bandwidth_end),
            anneal: Some(s.anneal),
            neighbours: Some(s.neighbours),
            clip: Some(s.clip),
            draws: Some(s.draws),
            reaction: Some(s.reaction),
            centre: s.frame.as_ref().map(|f| f.centre().to_vec()),
            scale: s.frame.as_ref().map(|f| f.scale()),
            ..self.clone()
        }
    }

    /// The same for a flow; but the components of its base, where not given, are found by the search each time.
    fn resolved_flow(&self, f: &FlowSettings) -> Self {
        let kind = match f.coupling {
            CouplingKind::Affine => Couplings::Realnvp,
            CouplingKind::Spline { .. } => Couplings::Spline,
        };
        Self {
            steps: Some(f.steps as usize),
            batch: Some(f.batch),
            flow: Some(kind),
            couplings: Some(f.couplings),
            temper: Some(f.temper),
            hidden: Some(f.hidden.clone()),
            learning_rate: Some(f.learning_rate),
            anneal: Some(f.anneal),
            clip: Some(f.clip),
            reaction: Some(f.reaction),
            lv_reference: (self.method == Training::FlowLv).then(|| self.reference_name().into()),
            centre: f.frame.as_ref().map(|f| f.centre().to_vec()),
            scale: f.frame.as_ref().map(|f| f.scale()),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::merge;
    use pushforward::density::by_name;

    /// Proves that a resolved configuration leaves no choice of a trainer's settings open: it gives the same settings, and is resolved already.
    #[test]
    fn resolved_leaves_nothing_open() {
        let target = by_name("funnel-10").unwrap();
        for method in ["kde", "flow", "flow-lv"] {
            let given = [format!("method={method}"), "components=3".into()];
            let config = merge(None, toml::toml! { target = "funnel-10" }, &given).unwrap();
            let settings = config.settings(&*target).unwrap();
            let resolved = config.resolved(&*target, &settings);
            let again = resolved.settings(&*target).unwrap();
            assert_eq!(again, settings, "{method}");
            assert_eq!(resolved.flow_settings(&*target, &again), config.flow_settings(&*target, &settings), "{method}");
            assert_eq!(resolved.resolved(&*target, &again), resolved, "{method}");
            let flow = (resolved.flow.is_some(), resolved.couplings.is_some(), resolved.temper.is_some());
            assert_eq!(flow, [(true, true, true), (false, false, false)][usize::from(method == "kde")], "{method}");
        }
    }
}
