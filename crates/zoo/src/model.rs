//! A model of latents, whatever its family.

use std::any::Any;
use std::ops::Deref;

use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::erased::Boxed;
use helmholtz_core::{Draws, Gradients, LatentVariableModel, Proposals, Traced, module_of_field};

use crate::can::Can;

/// A model whose latents are a tensor for each layer, from the data up, behind a pointer.
///
/// Its parameters have the paths that they have in the model itself. What it can do besides is behind [`Can`].
#[derive(Clone, Debug)]
pub struct BoxedModel {
    inner: Boxed<dyn Inside>,
}

module_of_field!(BoxedModel, inner);

/// What is in the box.
trait Inside: Latent + Can {}

impl<M: Latent + Can> Inside for M {}

impl BoxedModel {
    /// A model in its box.
    pub fn new<M: LatentVariableModel<Latents = Layers> + Can>(model: M) -> Self {
        BoxedModel {
            inner: Boxed::new(model, |model| model.downcast_ref::<M>().expect("it was made of one")),
        }
    }

    /// The model, if it is an `M`; it is a `BoxedModel`, too.
    pub fn downcast_ref<M: Any>(&self) -> Option<&M> {
        (self as &dyn Any).downcast_ref().or_else(|| self.inner.downcast_ref())
    }
}

impl Deref for BoxedModel {
    type Target = dyn Can;

    fn deref(&self) -> &(dyn Can + 'static) {
        &*self.inner
    }
}

/// A tensor for each layer of latents, from the data up.
type Layers = Vec<Tensor<2>>;

macro_rules! latent {
    ($(fn $method:ident(&self $(, $arg:ident: $type:ty)*) $(-> $out:ty)?;)+) => {
        /// A [`LatentVariableModel`] without associated types.
        trait Latent {
            $(fn $method(&self $(, $arg: $type)*) $(-> $out)?;)+
        }

        impl<M: LatentVariableModel<Latents = Layers>> Latent for M {
            $(fn $method(&self $(, $arg: $type)*) $(-> $out)? {
                LatentVariableModel::$method(self $(, $arg)*)
            })+
        }

        impl LatentVariableModel for BoxedModel {
            type Latents = Layers;

            $(fn $method(&self $(, $arg: $type)*) $(-> $out)? {
                Latent::$method(&*self.inner $(, $arg)*)
            })+
        }
    };
}

latent! {
    fn log_joint(&self, x: Tensor<2>, h: &Layers) -> Tensor<1>;
    fn log_posterior(&self, x: Tensor<2>, h: &Layers) -> Tensor<1>;
    fn trace_joint(&self, x: Tensor<2>, h: &Layers) -> Traced;
    fn trace_posterior(&self, x: Tensor<2>, h: &Layers) -> Traced;
    fn propose(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Proposals<Layers>;
    fn log_weights(&self, x: Tensor<2>, draws: &Draws) -> Tensor<2>;
    fn log_weights_defended(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Tensor<2>;
    fn dream(&self, draws: &Draws) -> (Tensor<2>, Layers);
    fn decode(&self, x: Tensor<2>, h: &Layers) -> Tensor<2>;
    fn joint_gradient(&self, x: Tensor<2>, h: &Layers, traces: &[Tensor<2>], weights: Tensor<1>, into: &mut Gradients);
    fn posterior_gradient(&self, x: Tensor<2>, h: &Layers, traces: &[Tensor<2>], weights: Tensor<1>, into: &mut Gradients);
    fn observed(&self) -> usize;
    fn dtype(&self) -> DType;
    fn device(&self) -> Device;
}
