//! Convolutions over images: 4 × 4 kernels with stride 2, which halve or double the sides.
//!
//! A convolution and the transposed convolution with the same kernels are adjoint. So each is the backward pass of the
//! other, and the gradients of the kernels of both are the same product of an input with a derivative.

use burn::module::{Module, Param};
use burn::tensor::module::{conv_transpose2d, conv2d, conv2d_weight_backward};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Gradients, Key};
use helmholtz_layers::InitialWeights;
use helmholtz_ops::hidden::{self, Activation};

/// Side of a kernel.
const KERNEL: usize = 4;

fn halving() -> ConvOptions<2> {
    ConvOptions::new([2, 2], [1, 1], [1, 1], 1)
}

/// The convolution of `picture` with kernels `[c_out, c_in, 4, 4]`; it halves the sides.
fn halve(picture: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    conv2d(picture, weight, None, halving())
}

/// The adjoint of [`halve`]: the transposed convolution with the same kernels; it doubles the sides.
fn double(picture: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    conv_transpose2d(picture, weight, None, ConvTransposeOptions::new([2, 2], [1, 1], [0, 0], [1, 1], 1))
}

/// Height, width and channels of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) shape: [usize; 2],
    pub(crate) channels: usize,
}

impl Extent {
    pub(crate) fn units(self) -> usize {
        self.shape[0] * self.shape[1] * self.channels
    }

    /// An image with half the sides.
    pub(crate) fn halved(self, channels: usize) -> Self {
        Extent { shape: self.shape.map(|side| side / 2), channels }
    }

    /// An image with twice the sides.
    fn doubled(self, channels: usize) -> Self {
        Extent { shape: self.shape.map(|side| side * 2), channels }
    }

    fn picture(self, rows: Tensor<2>) -> Tensor<4> {
        let [n, _] = rows.dims();
        rows.reshape([n, self.channels, self.shape[0], self.shape[1]])
    }

    /// Repeats the value of each channel at all its pixels: `[units]`.
    fn spread(self, channels: Tensor<1>) -> Tensor<1> {
        let places = self.shape[0] * self.shape[1];
        channels.unsqueeze_dim::<2>(1).repeat_dim(1, places).flatten(0, 1)
    }

    /// The sum over the pixels of each channel: `[channels]`.
    fn gather(self, units: Tensor<1>) -> Tensor<1> {
        let places = self.shape[0] * self.shape[1];
        units.reshape([self.channels, places]).sum_dim(1).squeeze_dim::<1>(1)
    }
}

/// Kernels and biases of one layer.
#[derive(Module, Debug)]
pub struct Kernels {
    /// `[channels of the smaller image, channels of the larger image, 4, 4]`
    pub weight: Param<Tensor<4>>,
    /// One bias for each channel of the outputs.
    pub bias: Param<Tensor<1>>,
}

impl Kernels {
    /// Kernels from Glorot's distribution; the fans count all places of a kernel.
    fn init([small, large]: [usize; 2], d_out: usize, key: Key, device: &Device) -> Self {
        let area = KERNEL * KERNEL;
        // The distribution depends only on the sum of the fans; each row holds the kernels of one channel.
        let bound =
            (6.0 / ((small + large) * area) as f64).sqrt() / (6.0 / (small + large * area) as f64).sqrt();
        let weight = InitialWeights::Glorot.draw(small, large * area, key, device) * bound;
        Kernels {
            weight: Param::from_tensor(weight.reshape([small, large, KERNEL, KERNEL])),
            bias: Param::from_tensor(Tensor::zeros([d_out], device)),
        }
    }

    /// Adds the gradient of the kernels, given a larger and a smaller image: one is the input, the other is the
    /// derivative in the outputs.
    fn gradient(&self, large: Tensor<4>, small: Tensor<4>, into: &mut Gradients) {
        into.add(&self.weight, conv2d_weight_backward(large, self.weight.val(), small, halving()));
    }
}

/// Convolutions that each halve the sides, or transposed convolutions that each double them, each followed by an
/// activation. The last transposed convolution yields outputs and has no activation.
#[derive(Module, Debug)]
pub struct Convolutions {
    /// The layers, from the input on.
    pub layers: Vec<Kernels>,
    #[module(skip)]
    extents: Vec<Extent>,
    #[module(skip)]
    activation: Activation,
    doubles: bool,
}

impl Convolutions {
    /// Layers from images of `extent` on; each of `channels` adds a layer that halves or doubles the sides.
    pub(crate) fn init(
        extent: Extent,
        channels: &[usize],
        doubles: bool,
        activation: Activation,
        key: Key,
        device: &Device,
    ) -> Self {
        let mut extents = vec![extent];
        let layers = channels.iter().enumerate().map(|(l, &c_out)| {
            let from = extents[l];
            extents.push(if doubles { from.doubled(c_out) } else { from.halved(c_out) });
            let sizes = if doubles { [from.channels, c_out] } else { [c_out, from.channels] };
            Kernels::init(sizes, c_out, key.child(l), device)
        });
        Convolutions { layers: layers.collect(), extents, activation, doubles }
    }

    /// Size of the outputs.
    pub(crate) fn width(&self) -> usize {
        self.extents[self.layers.len()].units()
    }

    /// Whether layer `l` has no activation.
    fn is_linear(&self, l: usize) -> bool {
        self.doubles && l + 1 == self.layers.len()
    }

    /// The flattened values of each layer; the outputs are the last.
    pub(crate) fn forward(&self, input: Tensor<2>) -> Vec<Tensor<2>> {
        let mut y = input;
        let layers = self.layers.iter().enumerate().map(|(l, layer)| {
            let picture = self.extents[l].picture(y.clone());
            let map = if self.doubles { double } else { halve };
            let product = map(picture, layer.weight.val()).flatten(1, 3);
            let bias = self.extents[l + 1].spread(layer.bias.val());
            y = match self.is_linear(l) {
                true => product + bias.unsqueeze(),
                false => hidden::forward(product, bias, self.activation),
            };
            y.clone()
        });
        layers.collect()
    }

    /// As [`Perceptron::backward`](crate::net::Perceptron::backward); `activations` leaves out outputs that have no
    /// activation.
    pub(crate) fn backward(
        &self,
        input: Tensor<2>,
        mut activations: Vec<Tensor<2>>,
        mut delta: Tensor<2>,
        mut into: Option<&mut Gradients>,
        wanted: bool,
    ) -> Option<Tensor<2>> {
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let (from, to) = (self.extents[l], self.extents[l + 1]);
            let (inner, sums) = if self.is_linear(l) {
                let sums = delta.clone().sum_dim(0).squeeze_dim::<1>(0);
                (delta, sums)
            } else {
                hidden::backward(delta, activations.pop().expect("one for each layer"), self.activation)
            };
            let inner = to.picture(inner);
            if let Some(into) = into.as_deref_mut() {
                let y = from.picture(if l == 0 { input.clone() } else { activations[l - 1].clone() });
                let [large, small] = if self.doubles { [inner.clone(), y] } else { [y, inner.clone()] };
                layer.gradient(large, small, into);
                into.add(&layer.bias, to.gather(sums));
            }
            if l == 0 && !wanted {
                return None;
            }
            let back = if self.doubles { halve } else { double };
            delta = back(inner, layer.weight.val()).flatten(1, 3);
        }
        wanted.then_some(delta)
    }
}
