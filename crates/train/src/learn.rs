//! What is trained, without its type.
//!
//! Burn's learner is compiled for one type of module. [`Learn`] is that type: a model with the strategy that moves it
//! and the evaluator that scores it, whatever they are, behind one pointer.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::erased::Boxed;
use helmholtz_core::{Estimate, Evaluator, Key, LatentVariableModel, Measure, Model, Strategy};

use crate::average::Average;
use crate::schedule::Stages;

/// Something that can be trained.
///
/// It is a Burn module besides, a [`Boxed`] one. Of the fields of a [`Pair`] `model` is what the [`Rule`](crate::Rule) is about,
/// `strategy` what strategies learn for themselves, and `average` the average of the weights.
pub trait Learn {
    /// The gradients of a batch `x`, `[n, d]`, before a step is taken; no tape is recorded.
    fn estimate(&self, x: Tensor<2>, step: u64, key: Key) -> Estimate;

    /// `log p̂(x)` of each row in nats, `[n]`; `rows` are their numbers.
    fn score(&self, x: Tensor<2>, rows: Arc<[u64]>, key: Key) -> Tensor<1>;

    /// What strategies of any stage measure of their own.
    fn measures(&self) -> Vec<Measure>;

    /// Whether it keeps an average of its weights.
    fn averages(&self) -> bool;

    /// Where it computes.
    fn device(&self) -> Device;

    /// The numbers that it computes in.
    fn dtype(&self) -> DType;

    /// The model that is judged and kept: the one with averaged weights, where there are any.
    fn judged(&self) -> Box<dyn Any>;
}

/// A model with the strategy that estimates its gradients and the evaluator that scores validation rows.
///
/// The strategy is part of the module, so that whatever it remembers travels in the checkpoint.
#[derive(Module, Debug)]
pub struct Pair<M: Model, S: Model, E: Debug + Clone + Send> {
    /// The model.
    pub model: M,
    /// The strategy of each stage.
    pub strategy: Stages<S>,
    /// The average of the weights, if it is what is judged and kept.
    pub average: Option<Average>,
    /// The evaluator of the validation split.
    #[module(skip)]
    pub evaluator: E,
}

impl<M, S, E> Pair<M, S, E>
where
    M: LatentVariableModel,
    S: Strategy<M>,
    E: Evaluator<M> + Sync + 'static,
{
    /// A model under a strategy, or one for each stage, behind a pointer.
    ///
    /// `average` is the decay of the average of the weights that is judged and kept; none for the weights themselves.
    pub fn of(model: M, strategy: Stages<S>, average: Option<f64>, evaluator: E) -> Boxed<dyn Learn> {
        let average = average.map(|decay| Average::new(&model, decay));
        let pair = Pair { model, strategy, average, evaluator };
        Boxed::new(pair, |pair| pair.downcast_ref::<Self>().expect("it was made of one"))
    }
}

impl<M, S, E> Learn for Pair<M, S, E>
where
    M: LatentVariableModel,
    S: Strategy<M>,
    E: Evaluator<M> + Sync + 'static,
{
    fn estimate(&self, x: Tensor<2>, step: u64, key: Key) -> Estimate {
        // Gradients are local and in closed form, so the step runs without a tape.
        let model = Module::valid(&self.model);
        if let Some(average) = &self.average {
            average.take_in(&model, step);
        }
        self.strategy.at(step).estimate(&model, x, key)
    }

    fn score(&self, x: Tensor<2>, rows: Arc<[u64]>, key: Key) -> Tensor<1> {
        match &self.average {
            Some(average) => self.evaluator.score(&average.of(&self.model), x, rows, key),
            None => self.evaluator.score(&self.model, x, rows, key),
        }
    }

    fn measures(&self) -> Vec<Measure> {
        let mut measures = Vec::new();
        for measure in self.strategy.iter().flat_map(|strategy| strategy.measures()) {
            if !measures.contains(measure) {
                measures.push(*measure);
            }
        }
        measures
    }

    fn averages(&self) -> bool {
        self.average.is_some()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn dtype(&self) -> DType {
        self.model.dtype()
    }

    fn judged(&self) -> Box<dyn Any> {
        match &self.average {
            Some(average) => Box::new(average.of(&self.model)),
            None => Box::new(self.model.clone()),
        }
    }
}

/// Whether a path leads to the model, and not to what a strategy or an average remembers.
pub(crate) fn is_of_model(path: &[String]) -> bool {
    path.first().is_some_and(|name| name == "model")
}
