//! A strategy on a model of any family.

use burn::tensor::Tensor;
use helmholtz_core::erased::Boxed;
use helmholtz_core::{Estimate, Follows, Key, Measure, Model, Strategy};
use helmholtz_strategies::{Bidirectional, Reinforce, ReweightedWakeSleep, Vimco, WakeSleep};

use crate::BoxedModel;

/// A strategy behind a pointer. Its parameters and what it remembers have the paths that they have in the strategy
/// itself.
pub type BoxedStrategy = Boxed<dyn Estimates>;

/// A [`Strategy`] on the models of a family, which come in their boxes.
///
/// [`estimates!`](crate::estimates) makes it of a strategy.
pub trait Estimates {
    /// [`Strategy::estimate`]
    ///
    /// # Panics
    /// If the model is of another family.
    fn estimate(&self, model: &BoxedModel, x: Tensor<2>, key: Key) -> Estimate;

    /// [`Strategy::follows`]
    fn follows(&self) -> Follows;

    /// [`Strategy::measures`]
    fn measures(&self) -> &[Measure];

    /// Whether it has parameters of its own, which an optimiser fits beside the model's.
    fn learns(&self) -> bool {
        false
    }

    /// The same strategy, whose running state stays as it is: its estimates are of one law. `None` if they are already.
    fn held(&self) -> Option<BoxedStrategy> {
        None
    }
}

impl Strategy<BoxedModel> for BoxedStrategy {
    fn estimate(&self, model: &BoxedModel, x: Tensor<2>, key: Key) -> Estimate {
        (**self).estimate(model, x, key)
    }

    fn follows(&self) -> Follows {
        (**self).follows()
    }

    fn measures(&self) -> &[Measure] {
        (**self).measures()
    }
}

/// A strategy in its box.
pub fn boxed<S: Model + Estimates>(strategy: S) -> BoxedStrategy {
    Boxed::new(strategy, |strategy| strategy.downcast_ref::<S>().expect("it was made of one"))
}

/// Makes [`Estimates`] of a strategy and the type of the models that it is a [`Strategy`] on, which is [`BoxedModel`] where
/// any will do. Methods that follow are taken as they are. The crate that calls it depends on `burn` and `helmholtz-core`.
#[macro_export]
macro_rules! estimates {
    ($strategy:ty => $model:ty $(, $more:item)*) => {
        impl $crate::Estimates for $strategy {
            fn estimate(
                &self,
                model: &$crate::BoxedModel,
                x: ::burn::tensor::Tensor<2>,
                key: ::helmholtz_core::Key,
            ) -> ::helmholtz_core::Estimate {
                let model = model.downcast_ref::<$model>().expect("a family's strategies are for its own models");
                ::helmholtz_core::Strategy::estimate(self, model, x, key)
            }

            fn follows(&self) -> ::helmholtz_core::Follows {
                ::helmholtz_core::Strategy::<$model>::follows(self)
            }

            fn measures(&self) -> &[::helmholtz_core::Measure] {
                ::helmholtz_core::Strategy::<$model>::measures(self)
            }

            $($more)*
        }
    };
}

/// A strategy that has parameters, under its name in the paths of their tensors: checkpoints of earlier versions have them
/// there.
macro_rules! under_its_name {
    ($holder:ident, $strategy:ident => $model:ty $(, $more:item)*) => {
        #[derive(::burn::module::Module, Debug)]
        struct $holder {
            $strategy: $strategy,
        }

        impl ::helmholtz_core::Strategy<$model> for $holder {
            fn estimate(
                &self,
                model: &$model,
                x: ::burn::tensor::Tensor<2>,
                key: ::helmholtz_core::Key,
            ) -> ::helmholtz_core::Estimate {
                self.$strategy.estimate(model, x, key)
            }

            fn follows(&self) -> ::helmholtz_core::Follows {
                ::helmholtz_core::Strategy::<$model>::follows(&self.$strategy)
            }

            fn measures(&self) -> &[::helmholtz_core::Measure] {
                ::helmholtz_core::Strategy::<$model>::measures(&self.$strategy)
            }
        }

        $crate::estimates!($holder => $model $(, $more)*);

        /// The strategy in its box.
        pub(crate) fn boxed(strategy: $strategy) -> $crate::BoxedStrategy {
            $crate::strategy::boxed($holder { $strategy: strategy })
        }
    };
}

pub(crate) use under_its_name;

estimates!(WakeSleep => BoxedModel);
estimates!(ReweightedWakeSleep => BoxedModel);
estimates!(Bidirectional => BoxedModel);
estimates!(Vimco => BoxedModel);
estimates!(Reinforce => BoxedModel);
