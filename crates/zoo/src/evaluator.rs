//! An evaluator of any family's models.

use std::any::Any;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Evaluator, Key, Score};

use crate::model::BoxedModel;

/// What an evaluator has prepared.
type Prepared = Box<dyn Any + Send + Sync>;

/// An evaluator of the models of a family, behind a pointer.
#[derive(Clone, Debug)]
pub struct BoxedEvaluator {
    inner: Arc<dyn Evaluates>,
}

impl BoxedEvaluator {
    /// An evaluator of models of type `M`.
    pub fn new<M: Any + Debug + Send + Sync, E: Evaluator<M> + Sync + 'static>(evaluator: E) -> Self {
        BoxedEvaluator { inner: Arc::new(Of { evaluator, of: PhantomData }) }
    }
}

/// An [`Evaluator`] without the type of its models.
trait Evaluates: Debug + Send + Sync {
    fn measures(&self) -> Score;
    fn prepare(&self, model: &BoxedModel, key: Key) -> Prepared;
    fn score(&self, model: &BoxedModel, prepared: &Prepared, batch: &Batch, key: Key) -> Tensor<1>;
}

#[derive(Debug)]
struct Of<M, E> {
    evaluator: E,
    of: PhantomData<fn(&M)>,
}

const OWN: &str = "a family's evaluators are for its own models";

impl<M: Any + Debug + Send + Sync, E: Evaluator<M> + Sync + 'static> Evaluates for Of<M, E> {
    fn measures(&self) -> Score {
        self.evaluator.measures()
    }

    fn prepare(&self, model: &BoxedModel, key: Key) -> Prepared {
        Box::new(self.evaluator.prepare(model.downcast_ref().expect(OWN), key))
    }

    fn score(&self, model: &BoxedModel, prepared: &Prepared, batch: &Batch, key: Key) -> Tensor<1> {
        let prepared = prepared.downcast_ref().expect("it was prepared by this evaluator");
        self.evaluator.score(model.downcast_ref().expect(OWN), prepared, batch, key)
    }
}

impl Evaluator<BoxedModel> for BoxedEvaluator {
    type Prepared = Prepared;

    fn measures(&self) -> Score {
        self.inner.measures()
    }

    fn prepare(&self, model: &BoxedModel, key: Key) -> Prepared {
        self.inner.prepare(model, key)
    }

    fn score(&self, model: &BoxedModel, prepared: &Prepared, batch: &Batch, key: Key) -> Tensor<1> {
        self.inner.score(model, prepared, batch, key)
    }
}
