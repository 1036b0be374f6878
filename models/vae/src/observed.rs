//! The layer of the observed units: `p(x | h₁)`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use helmholtz_core::{Draws, Gradients, Traced};
use helmholtz_ops::{product, rows};

use crate::conv::Convolutions;
use crate::likelihood::Likelihood;
use crate::net::Perceptron;

/// A net from the latents to the outputs of each observed unit, and the likelihood that they parametrise.
#[derive(Module, Debug)]
pub struct Observed {
    /// The hidden units above the last map.
    pub perceptron: Perceptron,
    /// The last linear map, `[d_in, outputs]`, unless convolutions replace it.
    pub weight: Option<Param<Tensor<2>>>,
    /// The transposed convolutions that end in an image of outputs.
    pub convolutions: Option<Convolutions>,
    /// The bias of each output, `[outputs]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    pub(crate) likelihood: Likelihood,
}

impl Observed {
    /// The likelihood of `x`, given the outputs.
    pub fn likelihood(&self) -> Likelihood {
        self.likelihood
    }

    /// The activations of all layers below `h`, and the outputs without the bias.
    fn outputs(&self, h: Tensor<2>) -> (Vec<Tensor<2>>, Tensor<2>) {
        let mut activations = self.perceptron.forward(h.clone());
        let hidden = activations.last().cloned().unwrap_or(h);
        let product = match (&self.convolutions, &self.weight) {
            (Some(convolutions), _) => {
                activations.extend(convolutions.forward(hidden));
                activations.pop().expect("there is a convolution")
            }
            (None, Some(weight)) => product::ab(hidden, weight.val()),
            (None, None) => unreachable!("a layer has a weight or convolutions"),
        };
        (activations, product)
    }

    fn n_activations(&self) -> usize {
        let convolutions = self.convolutions.as_ref().map_or(0, |net| net.layers.len() - 1);
        self.perceptron.layers.len() + convolutions
    }

    /// Number of tensors that [`trace`](Self::trace) keeps.
    pub(crate) fn n_traces(&self) -> usize {
        self.n_activations() + 1
    }

    /// `log p(x | h)`, differentiable by autodiff; rows of `x` may repeat.
    pub(crate) fn log_prob(&self, x: Tensor<2>, h: Tensor<2>) -> Tensor<1> {
        let (_, product) = self.outputs(h);
        self.likelihood.log_prob(x, product, self.bias.val())
    }

    /// `log p(x | h)` with the activations and, as the last trace, its derivative in the outputs.
    pub(crate) fn trace(&self, x: Tensor<2>, h: Tensor<2>) -> Traced {
        let (mut traces, product) = self.outputs(h);
        let scored = self.likelihood.score(x, product, self.bias.val());
        traces.push(scored.trace);
        Traced { log_prob: scored.log_prob, traces, by_layer: Vec::new() }
    }

    pub(crate) fn mean(&self, h: Tensor<2>) -> Tensor<2> {
        let (_, product) = self.outputs(h);
        self.likelihood.mean(product + self.bias.val().unsqueeze())
    }

    pub(crate) fn draw(&self, h: Tensor<2>, draws: &Draws) -> Tensor<2> {
        let (_, product) = self.outputs(h);
        self.likelihood.draw(product, self.bias.val(), draws)
    }

    /// The backward pass of `Σᵢ wᵢ log p(xᵢ | hᵢ)`, from the traces of [`trace`](Self::trace).
    pub(crate) fn backward(
        &self,
        h: Tensor<2>,
        mut traces: Vec<Tensor<2>>,
        weights: Tensor<1>,
        mut into: Option<&mut Gradients>,
        wanted: bool,
    ) -> Option<Tensor<2>> {
        let error = traces.pop().expect("the derivative in the outputs comes last");
        let (delta, sums) = rows::weigh(error, weights, 1);
        let below = traces.split_off(self.perceptron.layers.len());
        let hidden = traces.last().cloned().unwrap_or_else(|| h.clone());
        if let Some(into) = into.as_deref_mut() {
            into.add(&self.bias, sums);
            if let Some(weight) = &self.weight {
                into.add(weight, product::atb(hidden.clone(), delta.clone()));
            }
        }
        if self.perceptron.layers.is_empty() && self.convolutions.is_none() && !wanted {
            return None;
        }
        let delta = match (&self.convolutions, &self.weight) {
            (Some(convolutions), _) => {
                convolutions.backward(hidden, below, delta, into.as_deref_mut(), true).expect("it is wanted")
            }
            (None, Some(weight)) => product::abt(delta, weight.val()),
            (None, None) => unreachable!("a layer has a weight or convolutions"),
        };
        self.perceptron.backward(h, traces, delta, into, wanted)
    }
}
