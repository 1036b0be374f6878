//! A strategy on a model of any family.

use std::marker::PhantomData;

use burn::tensor::Tensor;
use helmholtz_core::erased::Boxed;
use helmholtz_core::{Batch, Estimate, Follows, Key, Measure, Model, Scope, Strategy, Trainable};
use helmholtz_court::{Exact, Expected, ReferenceError, States, StatesError, Supported};
use helmholtz_strategies::{Bidirectional, Reinforce, ReweightedWakeSleep, Vimco, WakeSleep};

use crate::model::{BoxedModel, LatentModel};

/// A strategy behind a pointer. Its parameters and what it remembers keep the paths that they have in the strategy
/// itself.
pub type BoxedStrategy = Boxed<dyn Estimates>;

/// A [`Strategy`] on the models of a family, in their boxes.
///
/// [`estimates!`](crate::estimates) implements it for a strategy.
pub trait Estimates {
    /// [`Strategy::estimate`]
    ///
    /// # Panics
    /// If the model is of another family.
    fn estimate(&self, model: &BoxedModel, batch: &Batch, key: Key) -> Estimate;

    /// [`Strategy::measures`]
    fn measures(&self) -> &[Measure];

    /// [`Strategy::scope`]
    fn scope(&self) -> Scope;

    /// [`Strategy::continuing`]
    ///
    /// # Panics
    /// If `other` is a strategy of another type.
    fn continuing(&self, other: &BoxedStrategy) -> BoxedStrategy;

    /// The exact vectors that a court compares it with, in its current state; `None` if it claims no expectation.
    ///
    /// # Errors
    /// If there are too many states, or they cannot be summed over.
    fn exact(&self, _model: &BoxedModel, _batch: &Batch) -> Result<Option<Box<dyn Exact>>, ReferenceError> {
        Ok(None)
    }

    /// Whether there are such vectors.
    fn claims(&self) -> bool {
        false
    }

    /// Whether what it claims is a sum over all data that the model can dream.
    fn claims_dreams(&self) -> bool {
        false
    }

    /// Whether it has parameters of its own, which an optimiser fits along with the model's.
    fn learns(&self) -> bool {
        false
    }

    /// The same strategy with its running state fixed, so that its estimates have one distribution. `None` if they have
    /// one already.
    fn held(&self) -> Option<BoxedStrategy> {
        None
    }
}

impl Strategy<BoxedModel> for BoxedStrategy {
    fn estimate(&self, model: &BoxedModel, batch: &Batch, key: Key) -> Estimate {
        (**self).estimate(model, batch, key)
    }

    fn measures(&self) -> &[Measure] {
        (**self).measures()
    }

    fn scope(&self) -> Scope {
        (**self).scope()
    }

    fn continuing(&self, other: &Self) -> Self {
        (**self).continuing(other)
    }
}

/// Puts a strategy into its box.
pub fn boxed<S: Model + Estimates>(strategy: S) -> BoxedStrategy {
    Boxed::new(strategy, |strategy| strategy.downcast_ref::<S>().expect("the box was made of this type"))
}

/// A strategy on models of type M, for a strategy that [`estimates!`](crate::estimates) puts on the models of another
/// family. Its parameters and what it remembers keep their paths.
#[derive(Clone, Debug)]
pub struct On<S, M> {
    strategy: S,
    models: PhantomData<fn(&M)>,
}

helmholtz_core::module_of_field!(On<S, T>, strategy, S: Model, T: Trainable);

/// Puts a strategy on models of type M into its box.
pub fn boxed_on<M: Trainable, S: Model + Strategy<M>>(strategy: S) -> BoxedStrategy {
    boxed(On { strategy, models: PhantomData::<fn(&M)> })
}

impl<M: Trainable, S: Model + Strategy<M>> Estimates for On<S, M> {
    fn estimate(&self, model: &BoxedModel, batch: &Batch, key: Key) -> Estimate {
        let model = model.downcast_ref::<M>().expect("a family's strategies are for its own models");
        self.strategy.estimate(model, batch, key)
    }

    fn measures(&self) -> &[Measure] {
        self.strategy.measures()
    }

    fn scope(&self) -> Scope {
        self.strategy.scope()
    }

    fn continuing(&self, other: &BoxedStrategy) -> BoxedStrategy {
        let other = other.downcast_ref::<Self>().expect("the stages of a run have one strategy");
        boxed_on::<M, S>(self.strategy.continuing(&other.strategy))
    }
}

/// Implements [`Estimates`] for a strategy and the type of the models that it is a [`Strategy`] on, which is
/// [`LatentModel`] if any model with latents will do. Methods that follow are added as they are. The calling crate must
/// depend on `helmholtz-core`.
#[macro_export]
macro_rules! estimates {
    ($strategy:ty => $model:ty $(, $more:item)*) => {
        impl $crate::Estimates for $strategy {
            fn estimate(
                &self,
                model: &$crate::BoxedModel,
                batch: &::helmholtz_core::Batch,
                key: ::helmholtz_core::Key,
            ) -> ::helmholtz_core::Estimate {
                let model = model.downcast_ref::<$model>().expect("a family's strategies are for its own models");
                ::helmholtz_core::Strategy::estimate(self, model, batch, key)
            }

            fn measures(&self) -> &[::helmholtz_core::Measure] {
                ::helmholtz_core::Strategy::<$model>::measures(self)
            }

            fn scope(&self) -> ::helmholtz_core::Scope {
                ::helmholtz_core::Strategy::<$model>::scope(self)
            }

            fn continuing(&self, other: &$crate::BoxedStrategy) -> $crate::BoxedStrategy {
                let other = other.downcast_ref::<Self>().expect("the stages of a run have one strategy");
                $crate::strategy::boxed(::helmholtz_core::Strategy::<$model>::continuing(self, other))
            }

            $($more)*
        }
    };
}

/// [`estimates!`](crate::estimates) for strategies on models of latents that [claim](helmholtz_core::Claims) what their
/// updates are in expectation: the court sums it over all states. The calling crate must also depend on
/// `helmholtz-court`.
#[macro_export]
macro_rules! claims {
    ($strategy:ty => $model:ty $(, $more:item)*) => {
        $crate::estimates!(
            $strategy => $model,
            fn exact(
                &self,
                model: &$crate::BoxedModel,
                batch: &::helmholtz_core::Batch,
            ) -> Result<Option<Box<dyn ::helmholtz_court::Exact>>, ::helmholtz_court::ReferenceError> {
                $crate::strategy::summed(model, batch, ::helmholtz_core::Claims::follows(self)).map(Some)
            },
            fn claims(&self) -> bool {
                true
            },
            fn claims_dreams(&self) -> bool {
                let follows = ::helmholtz_core::Claims::follows(self);
                follows.phi.iter().any(|term| term.direction == ::helmholtz_core::Direction::Dreams)
            }
            $(, $more)*
        );
    };
}

/// The latent states of any model: those of bits are enumerated, and one or two real ones integrated over.
#[derive(Clone, Debug)]
struct Sums;

impl States<LatentModel> for Sums {
    fn of(&self, model: &LatentModel, x: Tensor<2>) -> Result<Supported<Vec<Tensor<2>>>, StatesError> {
        model.states(x)
    }
}

/// What a strategy on a model of latents follows, summed over all states.
///
/// # Errors
/// If there are too many states, or they cannot be summed over.
pub fn summed(model: &BoxedModel, batch: &Batch, follows: Follows) -> Result<Box<dyn Exact>, ReferenceError> {
    let BoxedModel::Latent(model) = model else { return Err(StatesError::Neither.into()) };
    Ok(Box::new(Expected::new(model, &Sums, &batch.whole(), follows)?))
}

crate::claims!(WakeSleep => LatentModel);
crate::claims!(ReweightedWakeSleep => LatentModel);
crate::claims!(Bidirectional => LatentModel);
crate::claims!(Vimco => LatentModel);
crate::claims!(Reinforce => LatentModel);
