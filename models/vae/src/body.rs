//! The hidden units of a net: a perceptron, after convolutions if the data are images.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::Gradients;

use crate::conv::Convolutions;
use crate::net::Perceptron;

/// Hidden units between two stochastic layers.
#[derive(Module, Debug)]
pub struct Body {
    /// Convolutions over the image, before the perceptron.
    pub convolutions: Option<Convolutions>,
    /// The perceptron.
    pub perceptron: Perceptron,
    pub(crate) d_in: usize,
}

impl Body {
    fn n_convolutions(&self) -> usize {
        self.convolutions.as_ref().map_or(0, |convolutions| convolutions.layers.len())
    }

    /// Size of the outputs.
    pub(crate) fn width(&self) -> usize {
        match (self.perceptron.layers.last(), &self.convolutions) {
            (Some(layer), _) => layer.bias.val().dims()[0],
            (None, Some(convolutions)) => convolutions.width(),
            (None, None) => self.d_in,
        }
    }

    /// Number of tensors that [`forward`](Self::forward) returns.
    pub(crate) fn depth(&self) -> usize {
        self.n_convolutions() + self.perceptron.layers.len()
    }

    /// The activations of each layer; the outputs are the last, or the input if there are no layers.
    pub(crate) fn forward(&self, input: Tensor<2>) -> Vec<Tensor<2>> {
        let Some(convolutions) = &self.convolutions else { return self.perceptron.forward(input) };
        let mut activations = convolutions.forward(input);
        let features = activations.last().expect("there is a convolution").clone();
        activations.extend(self.perceptron.forward(features));
        activations
    }

    /// As [`Perceptron::backward`].
    pub(crate) fn backward(
        &self,
        input: Tensor<2>,
        mut activations: Vec<Tensor<2>>,
        delta: Tensor<2>,
        mut into: Option<&mut Gradients>,
        wanted: bool,
    ) -> Option<Tensor<2>> {
        let Some(convolutions) = &self.convolutions else {
            return self.perceptron.backward(input, activations, delta, into, wanted);
        };
        let hidden = activations.split_off(self.n_convolutions());
        let features = activations.last().expect("there is a convolution").clone();
        let delta = self.perceptron.backward(features, hidden, delta, into.as_deref_mut(), true);
        convolutions.backward(input, activations, delta.expect("it is wanted"), into, wanted)
    }
}
