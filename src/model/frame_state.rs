//! The frame of a model in a state.

use crate::density::Affine;
use crate::error::{Error, Result};
use crate::state::State;

/// Adds the units of a model: its centre, and its scale or its factor.
pub(crate) fn put_frame(to: &mut State, frame: &Affine) {
    to.put_row("frame.centre", frame.centre());
    match frame.one_scale() {
        Some(scale) => to.put_row("frame.scale", &[scale]),
        None => to.put("frame.factor", &frame.parts().1),
    }
}

/// What [`put_frame`] added.
pub(crate) fn frame_of_state(from: &State) -> Result<Affine> {
    let centre = from.any_shape::<f64>("frame.centre")?.as_slice().to_vec();
    let d = centre.len();
    let frame = match from.tensors.contains_key("frame.factor") {
        true => Affine::from_parts(centre, from.matrix::<f64>("frame.factor", (d, d))?.clone()),
        false if d > 0 => Affine::new(centre, from.matrix::<f64>("frame.scale", (1, 1))?[(0, 0)]),
        false => Err(Error::State { what: "the frame has no coordinates".into() }),
    };
    frame.map_err(|e| Error::State { what: format!("the frame: {e}") })
}
