//! The frame of a model in a state.

use crate::density::Affine;
use crate::error::{Error, Result};
use crate::state::State;

/// Adds the units of a model.
pub(crate) fn put_frame(to: &mut State, frame: &Affine) {
    to.put_row("frame.centre", frame.centre());
    to.put_row("frame.scale", &[frame.scale()]);
}

/// What [`put_frame`] added.
pub(crate) fn frame_of_state(from: &State) -> Result<Affine> {
    let centre = from.any_shape::<f64>("frame.centre")?.as_slice().to_vec();
    let scale = from.matrix::<f64>("frame.scale", (1, 1))?[(0, 0)];
    let (d, bad) =
        (centre.len(), |d: usize| Error::State { what: format!("the frame has {d} coordinates and scale {scale}") });
    if d == 0 { Err(bad(d)) } else { Affine::new(centre, scale).map_err(|_| bad(d)) }
}
