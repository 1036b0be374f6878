//! The gradient of the likelihood, compared with finite differences and with autodiff.

use burn::module::Module;
use burn::optim::GradientsParams;
use helmholtz_core::{Gradients, Model, Tractable, map_params, visit_params};

use super::*;

/// The gradients of all trained parameters, concatenated.
pub(super) fn flat(model: &impl Model, gradients: &Gradients) -> Vec<f64> {
    let mut all = Vec::new();
    visit_params(model, |_, param| all.extend(param.gradient(gradients).into_iter().flat_map(into_f64)));
    all
}

/// The model with `by` added to parameter value number `place`.
fn moved(model: &BernoulliMixture, place: usize, by: f64) -> BernoulliMixture {
    let mut first = 0;
    map_params(model.clone(), |_, param| {
        let mut values = into_f64(param.values());
        let n = values.len();
        if (first..first + n).contains(&place) {
            values[place - first] += by;
        }
        first += n;
        tensor(values, [n])
    })
}

/// The batch with its tensors on autodiff.
pub(super) fn on_tape(batch: &Batch) -> Batch {
    Batch { x: batch.x.clone().autodiff(), mask: batch.mask.clone().map(Tensor::autodiff), ..batch.clone() }
}

fn row_weights(n: usize) -> Vec<f64> {
    (0..n).map(|i| 0.3 + 0.2 * i as f64).collect()
}

#[test]
fn the_gradient_is_that_of_central_differences() {
    for (classes, missing) in kinds() {
        let (model, batch) = (mixture([classes, 2, 4], 0.0, 21), data([7, 4], classes, missing, 21));
        // Without and with targets.
        for batch in [unlabelled(&batch), batch] {
            let loss = |model: &BernoulliMixture| -> f64 {
                let log_prob = into_f64(model.log_prob(&batch));
                -log_prob.iter().zip(row_weights(7)).map(|(log, weight)| log * weight).sum::<f64>()
            };
            let mut gradients = Gradients::new();
            let log_prob = model.likelihood_gradient(&batch, tensor(row_weights(7), [7]), &mut gradients);
            assert_close(&into_f64(log_prob), &into_f64(model.log_prob(&batch)), 1e-13);
            let found = flat(&model, &gradients);
            assert_eq!(found.len(), classes * 2 * 5);
            // The error of differences with step h is h² plus rounding / h: 1e-8 and 1e-10 of a few nats.
            let h = 1e-4;
            let expected: Vec<f64> = (0..found.len())
                .map(|i| (loss(&moved(&model, i, h)) - loss(&moved(&model, i, -h))) / (2.0 * h))
                .collect();
            assert_close(&found, &expected, 1e-7);
        }
    }
}

#[test]
fn the_gradient_is_that_of_the_tape() {
    for (classes, missing) in kinds() {
        let (model, batch) = (mixture([classes, 3, 8], 0.0, 22), data([9, 8], classes, missing, 22));
        let mut gradients = Gradients::new();
        model.likelihood_gradient(&batch, tensor(row_weights(9), [9]), &mut gradients);
        let tracked = model.clone().train();
        let log_prob = tracked.log_prob(&on_tape(&batch));
        let tape = (log_prob * tensor(row_weights(9), [9]).autodiff()).sum().neg().backward();
        let tape = Gradients::from(GradientsParams::from_grads(tape, &tracked));
        assert_close(&flat(&model, &gradients), &flat(&tracked, &tape), 1e-12);
    }
}

#[test]
fn gradients_add_to_what_is_there() {
    let (model, batch) = (mixture([1, 2, 3], 0.0, 23), data([4, 3], 1, false, 23));
    let mut gradients = Gradients::new();
    model.likelihood_gradient(&batch, tensor(vec![1.0; 4], [4]), &mut gradients);
    let once = flat(&model, &gradients);
    model.likelihood_gradient(&batch, tensor(vec![1.0; 4], [4]), &mut gradients);
    assert_close(&flat(&model, &gradients), &once.iter().map(|g| 2.0 * g).collect::<Vec<_>>(), 1e-14);
}
