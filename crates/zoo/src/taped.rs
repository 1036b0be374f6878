//! Exact vectors for models whose likelihood has a closed form: its gradient by autodiff.

use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use helmholtz_core::{Batch, Gradients, Tractable, Trainable};
use helmholtz_court::{Blocks, Exact, ReferenceError, References};

/// The exact vectors of a strategy that ascends the mean of `log p` over a batch without drawing anything.
struct Taped {
    /// The gradient of the loss `-1/n Σᵢ log pᵢ`, recorded by autodiff.
    gradient: Vec<f64>,
}

impl Exact for Taped {
    fn references(&self) -> Result<References, ReferenceError> {
        Ok(References { own: self.gradient.clone(), limit: self.gradient.clone(), has_limit: [true, false] })
    }

    /// Nothing is drawn.
    fn rare(&self, _: f64) -> Result<Vec<f64>, ReferenceError> {
        Ok(vec![0.0; self.gradient.len()])
    }
}

/// The gradient of the likelihood of a batch. It shares no code with the closed form of
/// [`Tractable::likelihood_gradient`] except `log p` itself.
pub(crate) fn gradient_of_likelihood<M: Tractable>(model: &M, batch: &Batch) -> Box<dyn Exact> {
    gradient_of(model, batch, M::log_prob)
}

/// The same for a `log p` that is computed in another way than by the model's own formula.
pub(crate) fn gradient_of<M: Trainable>(
    model: &M,
    batch: &Batch,
    log_prob: impl Fn(&M, &Batch) -> Tensor<1>,
) -> Box<dyn Exact> {
    let tracked = model.clone().train();
    let on_tape = |values: &Tensor<2>| Tensor::from_inner(values.clone());
    let batch = Batch { x: on_tape(&batch.x), mask: batch.mask.as_ref().map(on_tape), ..batch.clone() };
    let loss = log_prob(&tracked, &batch).mean().neg();
    let gradients = Gradients::from(GradientsParams::from_grads(loss.backward(), &tracked));
    Box::new(Taped { gradient: Blocks::of(model).flatten(model, &gradients) })
}
