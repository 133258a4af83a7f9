//! The orientation of a model in a state.

use crate::density::{Group, Orientation};
use crate::error::Result;
use crate::state::State;

impl Orientation {
    /// Into a state: the elements, K×d², the generator of turns, d×d, and the template.
    pub(crate) fn put(&self, to: &mut State) {
        to.put("symmetry.elements", &self.group().rows());
        if let Some(turn) = self.group().turn() {
            to.put("symmetry.turn", turn);
        }
        to.put_row("symmetry.template", self.template());
    }

    /// Out of a state of points in R^d; None where it holds none.
    pub(crate) fn of_state(from: &State, d: usize) -> Result<Option<Self>> {
        let Some(shape) = from.tensors.get("symmetry.elements").map(|m| m.shape()) else { return Ok(None) };
        let elements = from.matrix::<f64>("symmetry.elements", (shape.0, d * d))?;
        let turn = from.tensors.contains_key("symmetry.turn");
        let turn = turn.then(|| from.matrix::<f64>("symmetry.turn", (d, d)).cloned()).transpose()?;
        let template = from.matrix::<f64>("symmetry.template", (1, d))?.row(0).to_vec();
        Self::new(Group::of_rows(elements, turn)?, template).map(Some)
    }
}
