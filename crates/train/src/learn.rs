//! What is trained, without its type.
//!
//! Burn's learner is compiled for one type of module. [`Learn`] is that type: a model with the strategy that trains it
//! and the evaluator that scores it, of any types, behind one pointer.

use std::any::Any;
use std::fmt::{self, Debug, Display, Formatter};
use std::sync::OnceLock;

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::erased::Boxed;
use helmholtz_core::{
    Batch, Estimate, Evaluator, Key, Measure, Model, ParameterGroup, Role, Scope, Score, Strategy, Trainable,
};

use crate::average::Average;
use crate::schedule::Stages;

/// Something that can be trained.
///
/// It is also a Burn module, a [`Boxed`] one. Of the fields of a [`Pair`], `model` is what the [`Rule`](crate::Rule)
/// applies to, `strategy` is what the strategy remembers and learns for itself, and `average` is the average of the
/// weights.
pub trait Learn {
    /// The gradients of a batch, before its step is taken; no tape is recorded.
    fn estimate(&self, batch: &Batch, key: Key) -> Estimate;

    /// The score of each row, `[n]`.
    fn score(&self, batch: &Batch, key: Key) -> Tensor<1>;

    /// What the scores are.
    fn scored_by(&self) -> Score;

    /// What the strategy measures in any stage.
    fn measures(&self) -> Vec<Measure>;

    /// The groups of the model's parameters.
    fn groups(&self) -> &'static [ParameterGroup];

    /// Whether the strategy keeps something from one batch to the next.
    fn scope(&self) -> Scope;

    /// The stage that a step belongs to, from zero.
    fn stage(&self, step: u64) -> usize;

    /// Whether it keeps an average of its weights.
    fn averages(&self) -> bool;

    /// The device that it computes on.
    fn device(&self) -> Device;

    /// The type of the numbers that it computes with.
    fn dtype(&self) -> DType;

    /// The model that is scored and kept: the one with averaged weights, if there are any.
    fn judged(&self) -> Box<dyn Any>;
}

/// A model with the strategy that estimates its gradients and the evaluator that scores validation rows.
///
/// The strategy is part of the module, so that whatever it remembers travels in the checkpoint.
#[derive(Module, Debug)]
pub struct Pair<M: Model, S: Model, E: Debug + Clone + Send> {
    /// The model.
    pub model: M,
    /// The strategy, with its settings in each stage.
    pub strategy: Stages<S>,
    /// The average of the weights, if it is what is scored and kept.
    pub average: Option<Average>,
    /// The evaluator of the validation split.
    #[module(skip)]
    pub evaluator: E,
    /// What the evaluator has prepared.
    prepared: Prepared,
}

impl<M, S, E> Pair<M, S, E>
where
    M: Trainable,
    S: Strategy<M>,
    E: Evaluator<M> + Sync + 'static,
{
    /// A model with a strategy, which may have other settings in each stage, behind a pointer.
    ///
    /// `average` is the decay of the average of the weights that is scored and kept; with `None` the weights themselves
    /// are scored and kept.
    ///
    /// # Panics
    /// If there are several stages, and the strategy remembers but does not say how it goes on in the next one.
    pub fn of(model: M, strategy: Stages<S>, average: Option<f64>, evaluator: E) -> Boxed<dyn Learn> {
        strategy.check::<M>();
        let average = average.map(|decay| Average::new(&model, decay));
        let prepared = Prepared::default();
        Boxed::new(Pair { model, strategy, average, evaluator, prepared }, |pair| {
            pair.downcast_ref::<Self>().expect("the box was made of a pair")
        })
    }
}

impl<M, S, E> Learn for Pair<M, S, E>
where
    M: Trainable,
    S: Strategy<M>,
    E: Evaluator<M> + Sync + 'static,
{
    fn estimate(&self, batch: &Batch, key: Key) -> Estimate {
        // Gradients are local and in closed form, so the step runs without a tape.
        let model = Module::valid(&self.model);
        if let Some(average) = &self.average {
            average.take_in(&model, batch.step);
        }
        self.strategy.at(batch.step).estimate(&model, batch, key)
    }

    fn score(&self, batch: &Batch, key: Key) -> Tensor<1> {
        let averaged = self.average.as_ref().map(|average| average.of(&self.model));
        let model = averaged.as_ref().unwrap_or(&self.model);
        let prepare = || self.evaluator.prepare(model, key.child(Role::Partition));
        self.evaluator.score(model, self.prepared.get_or(prepare), batch, key)
    }

    fn scored_by(&self) -> Score {
        self.evaluator.measures()
    }

    fn measures(&self) -> Vec<Measure> {
        let mut measures = Vec::new();
        for measure in self.strategy.settings().flat_map(|settings| settings.measures()) {
            if !measures.contains(measure) {
                measures.push(*measure);
            }
        }
        measures
    }

    fn groups(&self) -> &'static [ParameterGroup] {
        self.model.groups()
    }

    fn scope(&self) -> Scope {
        let across = self.strategy.settings().any(|settings| settings.scope() == Scope::AcrossBatches);
        if across { Scope::AcrossBatches } else { Scope::Batch }
    }

    fn stage(&self, step: u64) -> usize {
        self.strategy.stage(step)
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

/// What an evaluator has prepared for the current weights. It has no parameters. Copying or changing a module leaves
/// it empty, to be prepared anew. The learner scores a copy in each epoch. An average takes in weights in the module
/// that is trained, which nothing scores.
#[derive(Default)]
struct Prepared(OnceLock<Box<dyn Any + Send + Sync>>);

impl Prepared {
    fn get_or<P: Any + Send + Sync>(&self, prepare: impl FnOnce() -> P) -> &P {
        let prepared = self.0.get_or_init(|| Box::new(prepare()));
        prepared.downcast_ref().expect("one evaluator prepares one kind of thing")
    }
}

impl Clone for Prepared {
    fn clone(&self) -> Self {
        Prepared::default()
    }
}

impl Debug for Prepared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared")
    }
}

impl Display for Prepared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared")
    }
}

impl Module for Prepared {
    fn collect_devices(&self, devices: Devices) -> Devices {
        devices
    }

    fn fork(self, _: &Device) -> Self {
        Prepared::default()
    }

    fn to_device(self, _: &Device) -> Self {
        Prepared::default()
    }

    fn train(self) -> Self {
        Prepared::default()
    }

    fn valid(&self) -> Self {
        Prepared::default()
    }

    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, _: &mut V) {}

    fn map<T: ModuleMapper>(self, _: &mut T) -> Self {
        Prepared::default()
    }
}

impl ModuleDisplayDefault for Prepared {
    fn content(&self, content: Content) -> Option<Content> {
        Some(content)
    }
}

impl ModuleDisplay for Prepared {}
