use crate::divergence::{Divergence, all_divergences};
use crate::num::ln;
use std::sync::Arc;

/// D_f/w(1): the unit of a divergence is the user's choice, and that of time with it.
struct InUnits {
    f: Arc<dyn Divergence>,
    /// w(1).
    unit: f64,
}

/// Whether a divergence has the name of a row of the table.
pub(super) fn is_row(f: &dyn Divergence) -> bool {
    all_divergences().iter().any(|row| row.name() == f.name())
}

/// D_f/w(1) for a divergence that is no row of the table; steps and tolerances are then those of the table.
pub(super) fn in_units(f: Arc<dyn Divergence>) -> Arc<dyn Divergence> {
    let unit = f.weight(0.0);
    if unit == 1.0 || is_row(f.as_ref()) {
        return f;
    }
    Arc::new(InUnits { f, unit })
}

impl Divergence for InUnits {
    fn name(&self) -> &str {
        self.f.name()
    }
    fn formula(&self) -> String {
        self.f.formula()
    }
    fn weight_formula(&self) -> String {
        self.f.weight_formula()
    }
    fn elasticity_formula(&self) -> String {
        self.f.elasticity_formula()
    }
    fn f(&self, l: f64) -> f64 {
        self.f.f(l) / self.unit
    }
    fn u_df(&self, l: f64) -> f64 {
        self.f.u_df(l) / self.unit
    }
    fn first_variation(&self, l: f64) -> f64 {
        self.f.first_variation(l) / self.unit
    }
    fn log_weight(&self, l: f64) -> f64 {
        self.f.log_weight(l) - ln(self.unit)
    }
    fn elasticity(&self, l: f64) -> f64 {
        self.f.elasticity(l)
    }
    fn centred(&self, mean_log_ratio: f64) -> Option<Arc<dyn Divergence>> {
        self.f.centred(mean_log_ratio).map(|f| Arc::new(Self { f, unit: self.unit }) as Arc<dyn Divergence>)
    }
}
