//! Deterministic nets: linear maps and perceptrons, with their derivatives.
//!
//! A net's backward pass is local and in closed form, so no autodiff tape is recorded. It takes the derivative of a
//! loss in the outputs, adds the gradients of the parameters, and returns the derivative in the inputs. Both results
//! are linear in the derivative in the outputs, row by row, so a row can be multiplied by its weight at any point.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Gradients, Key};
use helmholtz_layers::InitialWeights;
use helmholtz_ops::hidden::{self, Activation};
use helmholtz_ops::product;

/// `y W + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `W`: `[d_in, d_out]`.
    pub weight: Param<Tensor<2>>,
    /// `b`: `[d_out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    pub(crate) fn init([d_in, d_out]: [usize; 2], key: Key, device: &Device) -> Self {
        Linear {
            weight: Param::from_tensor(InitialWeights::Glorot.draw(d_in, d_out, key, device)),
            bias: Param::from_tensor(Tensor::zeros([d_out], device)),
        }
    }

    /// `y W`; the caller adds the bias.
    pub(crate) fn product(&self, y: Tensor<2>) -> Tensor<2> {
        product::ab(y, self.weight.val())
    }

    pub(crate) fn forward(&self, y: Tensor<2>) -> Tensor<2> {
        self.product(y) + self.bias.val().unsqueeze()
    }

    /// Adds the gradients at input `y` of a loss with derivative `delta` in the outputs; `sums` are the column sums
    /// of `delta`.
    pub(crate) fn gradient(&self, y: Tensor<2>, delta: Tensor<2>, sums: Tensor<1>, into: &mut Gradients) {
        into.add(&self.weight, product::atb(y, delta));
        into.add(&self.bias, sums);
    }

    /// The derivative in the inputs.
    pub(crate) fn back(&self, delta: Tensor<2>) -> Tensor<2> {
        product::abt(delta, self.weight.val())
    }
}

/// Layers of hidden units, each a linear map and an activation; without layers, the identity.
#[derive(Module, Debug)]
pub struct Perceptron {
    /// The linear maps, from the input on.
    pub layers: Vec<Linear>,
    #[module(skip)]
    pub(crate) activation: Activation,
}

impl Perceptron {
    pub(crate) fn init(
        d_in: usize,
        widths: &[usize],
        activation: Activation,
        key: Key,
        device: &Device,
    ) -> Self {
        let sizes = std::iter::once(d_in).chain(widths.iter().copied());
        let layers = sizes.zip(widths).enumerate();
        let layers = layers.map(|(l, (d_in, d_out))| Linear::init([d_in, *d_out], key.child(l), device));
        Perceptron { layers: layers.collect(), activation }
    }

    /// The activations of each layer; the outputs are the last, or the input if there are no layers.
    pub(crate) fn forward(&self, input: Tensor<2>) -> Vec<Tensor<2>> {
        let mut y = input;
        let layers = self.layers.iter().map(|layer| {
            y = hidden::forward(layer.product(y.clone()), layer.bias.val(), self.activation);
            y.clone()
        });
        layers.collect()
    }

    /// The backward pass from `delta`, the derivative of a loss in the outputs, at the activations that
    /// [`forward`](Self::forward) returned. Gradients are added if `into` is given; the derivative in the inputs is
    /// returned if it is `wanted`.
    pub(crate) fn backward(
        &self,
        input: Tensor<2>,
        mut activations: Vec<Tensor<2>>,
        delta: Tensor<2>,
        mut into: Option<&mut Gradients>,
        wanted: bool,
    ) -> Option<Tensor<2>> {
        let mut delta = delta;
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let a = activations.pop().expect("one for each layer");
            let (inner, sums) = hidden::backward(delta, a, self.activation);
            if let Some(into) = into.as_deref_mut() {
                let y = if l == 0 { input.clone() } else { activations[l - 1].clone() };
                layer.gradient(y, inner.clone(), sums, into);
            }
            if l == 0 && !wanted {
                return None;
            }
            delta = layer.back(inner);
        }
        wanted.then_some(delta)
    }
}
