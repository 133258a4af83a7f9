//! A network's values without a tape.

use crate::autodiff::Tape;
use crate::linalg::{Packed, Start, View};
use crate::nn::Network;
use crate::nn::mlp::Parameter;
use crate::num::{Real, Silu, map_slice};

/// A network for many blocks of rows. It gives the bits of [`Network::forward`].
pub(crate) enum Inference<'a, T: Real> {
    /// W and b of each layer of a multilayer perceptron.
    Layers(Vec<(&'a Packed<T>, &'a [T])>),
    /// Any other, on a tape.
    Tape(&'a Network, &'a [Parameter<T>]),
}

impl<'a, T: Real> Inference<'a, T> {
    /// The network with `parameters` in the order of [`Network::parameter_names`].
    #[track_caller]
    pub(crate) fn new(network: &'a Network, parameters: &'a [Parameter<T>]) -> Self {
        assert_eq!(parameters.len(), network.parameter_count(), "Inference::new: number of parameters");
        let Network::Mlp(_) = network else { return Inference::Tape(network, parameters) };
        let layer = |wb: &'a [Parameter<T>]| (wb[0].packed(false), wb[1].as_slice());
        Inference::Layers(parameters.chunks_exact(2).map(layer).collect())
    }

    /// The network at `rows` rows x, which is used up.
    pub(crate) fn forward(&self, mut x: Vec<T>, rows: usize) -> Vec<T> {
        let layers = match self {
            Inference::Layers(layers) => layers,
            Inference::Tape(network, parameters) => {
                let tape = Tape::new();
                let parameters: Vec<_> = parameters.iter().map(|p| tape.parameter(p)).collect();
                let x = tape.leaf_from(rows, x.len() / rows.max(1), &x);
                return network.forward(&parameters, x, None).value().into_vec();
            }
        };
        let mut y = Vec::new();
        for (k, (weight, bias)) in layers.iter().enumerate() {
            let cols = x.len() / rows.max(1);
            y.resize(rows * bias.len(), T::ZERO);
            weight.product(
                T::ONE,
                View { data: &x, rows, cols, row_stride: cols, col_stride: 1 },
                Start::Row(bias),
                &mut y,
            );
            if k + 1 < layers.len() {
                map_slice(Silu, &mut y);
            }
            std::mem::swap(&mut x, &mut y);
        }
        x
    }
}
