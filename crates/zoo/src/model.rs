//! A model of any family.

use std::any::Any;
use std::ops::Deref;

use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::erased::Boxed;
use helmholtz_core::{
    Draws, Gradients, LatentVariableModel, ParameterGroup, Proposals, Traced, Trainable, map_params,
    module_of_field,
};

use crate::can::Can;
use crate::error::ConfigError;

helmholtz_core::one_of! {
    /// A model behind a pointer. Its parameters keep the paths that they have in the model itself, and [`Can`] gives
    /// what it can do.
    BoxedModel {
        /// A model whose latents a recognition net proposes.
        Latent(LatentModel),
        /// Any other model.
        Other(OtherModel),
    }
}

/// A model whose latents are a tensor for each layer, from the data up, behind a pointer.
#[derive(Clone, Debug)]
pub struct LatentModel {
    inner: Boxed<dyn OfLatents>,
}

/// A model without latents that a recognition net proposes, behind a pointer.
#[derive(Clone, Debug)]
pub struct OtherModel {
    inner: Boxed<dyn Other>,
}

module_of_field!(LatentModel, inner);
module_of_field!(OtherModel, inner);

/// What is in the box of a model of latents.
trait OfLatents: Latent + Other {}

impl<M: Latent + Other> OfLatents for M {}

/// What is in the box of any other model.
trait Other: Fundamental + Can {}

impl<M: Fundamental + Can> Other for M {}

impl BoxedModel {
    /// Puts a model with latents into its box.
    pub fn new<M: LatentVariableModel<Latents = Layers> + Can>(model: M) -> Self {
        let inner: Boxed<dyn OfLatents> =
            Boxed::new(model, |model| model.downcast_ref::<M>().expect("the box was made of this type"));
        BoxedModel::Latent(LatentModel { inner })
    }

    /// Puts any other model into its box.
    pub fn other<M: Trainable + Can>(model: M) -> Self {
        let inner: Boxed<dyn Other> =
            Boxed::new(model, |model| model.downcast_ref::<M>().expect("the box was made of this type"));
        BoxedModel::Other(OtherModel { inner })
    }

    /// The model, if it is an `M`. It is also a `BoxedModel`, and may be a [`LatentModel`].
    pub fn downcast_ref<M: Any>(&self) -> Option<&M> {
        let own = (self as &dyn Any).downcast_ref();
        own.or_else(|| match self {
            BoxedModel::Latent(model) => {
                (model as &dyn Any).downcast_ref().or_else(|| model.inner.downcast_ref())
            }
            BoxedModel::Other(model) => model.inner.downcast_ref(),
        })
    }

    /// The model with its latents. `what` is the end of the error message: what needs them, and what would fit.
    ///
    /// # Errors
    /// If it has no latents that a recognition net proposes.
    pub fn latent_for(&self, what: &str) -> Result<&LatentModel, ConfigError> {
        match self {
            BoxedModel::Latent(model) => Ok(model),
            BoxedModel::Other(_) => {
                Err(ConfigError(format!("the model has no latents that a recognition net proposes: {what}")))
            }
        }
    }

    /// `x ~ p(x)`, one for each matrix row of `draws`, or the means of its units given the latents and the units before:
    /// `[n, d]`.
    ///
    /// # Errors
    /// If it cannot draw.
    pub fn draw(&self, draws: &Draws, means: bool) -> Result<Tensor<2>, ConfigError> {
        if let BoxedModel::Latent(model) = self {
            let (x, h) = LatentVariableModel::dream(model, draws);
            return Ok(if means { LatentVariableModel::decode(model, x, &h) } else { x });
        }
        let drawn = self
            .drawn()
            .ok_or_else(|| ConfigError::new("the model cannot be sampled: nothing draws from it"))?;
        Ok(drawn.draw(draws, means))
    }

    /// The model with other values of its parameters, each `[n]`, in the order of [`map_params`].
    ///
    /// # Panics
    /// If there are fewer values than parameters.
    pub fn with_values(self, values: Vec<Tensor<1>>) -> Self {
        let mut values = values.into_iter();
        map_params(self, |_, _| values.next().expect("each parameter has values"))
    }

    fn fundamental(&self) -> &dyn Fundamental {
        match self {
            BoxedModel::Latent(model) => &*model.inner,
            BoxedModel::Other(model) => &*model.inner,
        }
    }
}

impl Deref for BoxedModel {
    type Target = dyn Can;

    fn deref(&self) -> &(dyn Can + 'static) {
        match self {
            BoxedModel::Latent(model) => &*model.inner,
            BoxedModel::Other(model) => &*model.inner,
        }
    }
}

impl Deref for LatentModel {
    type Target = dyn Can;

    fn deref(&self) -> &(dyn Can + 'static) {
        &*self.inner
    }
}

/// A tensor for each layer of latents, from the data up.
type Layers = Vec<Tensor<2>>;

/// A trait without associated types and without `Self`, implemented for every model with a contract of core.
macro_rules! erased {
    ($trait:ident of $contract:ident [$($bound:tt)*] { $(fn $method:ident(&self $(, $arg:ident: $type:ty)*) $(-> $out:ty)?;)+ }) => {
        trait $trait {
            $(fn $method(&self $(, $arg: $type)*) $(-> $out)?;)+
        }

        impl<M: $contract $($bound)*> $trait for M {
            $(fn $method(&self $(, $arg: $type)*) $(-> $out)? {
                $contract::$method(self $(, $arg)*)
            })+
        }
    };
}

erased! { Fundamental of Trainable [] {
    fn groups(&self) -> &'static [ParameterGroup];
    fn observed(&self) -> usize;
    fn dtype(&self) -> DType;
    fn device(&self) -> Device;
} }

impl Trainable for BoxedModel {
    fn groups(&self) -> &'static [ParameterGroup] {
        self.fundamental().groups()
    }

    fn observed(&self) -> usize {
        self.fundamental().observed()
    }

    fn dtype(&self) -> DType {
        self.fundamental().dtype()
    }

    fn device(&self) -> Device {
        self.fundamental().device()
    }
}

impl Trainable for LatentModel {
    fn groups(&self) -> &'static [ParameterGroup] {
        Fundamental::groups(&*self.inner)
    }

    fn observed(&self) -> usize {
        Fundamental::observed(&*self.inner)
    }

    fn dtype(&self) -> DType {
        Fundamental::dtype(&*self.inner)
    }

    fn device(&self) -> Device {
        Fundamental::device(&*self.inner)
    }
}

macro_rules! latent {
    ($(fn $method:ident(&self $(, $arg:ident: $type:ty)*) $(-> $out:ty)?;)+) => {
        erased! { Latent of LatentVariableModel [<Latents = Layers>] {
            $(fn $method(&self $(, $arg: $type)*) $(-> $out)?;)+
        } }

        impl LatentVariableModel for LatentModel {
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
}
