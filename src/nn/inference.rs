//! A network's values without a tape.

use crate::linalg::{Packed, Start, View};
use crate::nn::Mlp;
use crate::nn::mlp::Parameter;
use crate::num::{Real, Silu, map_slice};

/// A network for many blocks of rows. It gives the bits of [`Mlp::forward`].
pub(crate) struct Inference<'a, T: Real> {
    /// W and b of each layer.
    layers: Vec<(&'a Packed<T>, &'a [T])>,
}

impl<'a, T: Real> Inference<'a, T> {
    /// The network with `parameters` in the order of [`Mlp::parameter_names`].
    #[track_caller]
    pub(crate) fn new(network: &Mlp, parameters: &'a [Parameter<T>]) -> Self {
        assert_eq!(parameters.len(), network.parameter_count(), "Inference::new: number of parameters");
        let layer = |wb: &'a [Parameter<T>]| (wb[0].packed(false), wb[1].as_slice());
        Self { layers: parameters.chunks_exact(2).map(layer).collect() }
    }

    /// The network at `rows` rows x, which is used up.
    pub(crate) fn forward(&self, mut x: Vec<T>, rows: usize) -> Vec<T> {
        let mut y = Vec::new();
        for (k, (weight, bias)) in self.layers.iter().enumerate() {
            let cols = x.len() / rows.max(1);
            y.resize(rows * bias.len(), T::ZERO);
            weight.product(
                T::ONE,
                View { data: &x, rows, cols, row_stride: cols, col_stride: 1 },
                Start::Row(bias),
                &mut y,
            );
            if k + 1 < self.layers.len() {
                map_slice(Silu, &mut y);
            }
            std::mem::swap(&mut x, &mut y);
        }
        x
    }
}
