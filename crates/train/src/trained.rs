//! What tests of optimisers compare: the weights of a small model after some steps.

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Key, Strategy, visit_params};
use helmholtz_directed::StackConfig;
use helmholtz_strategies::ReweightedWakeSleep;

/// Weights after twenty steps of reweighted wake-sleep.
pub(crate) fn trained(mut optimiser: ModuleOptimizer) -> Vec<f32> {
    let device = Device::flex();
    let x = Tensor::<2>::from_floats([[1.0, 0.0, 1.0, 0.0, 0.0]; 4], &device);
    let mut model = StackConfig::new(5, vec![4, 3]).init(None, Key::new(1), &device).unwrap().train();
    for step in 0..20u64 {
        let strategy = ReweightedWakeSleep::new(3).unwrap();
        let estimate = strategy.estimate(&model.valid(), &x.clone().into(), Key::new(step));
        model = optimiser.step(3e-3, model, estimate.gradients.into_params());
    }
    let mut weights = Vec::new();
    visit_params(&model, |_, param| {
        weights.extend(param.values().into_data().try_to_vec::<f32>().unwrap());
    });
    assert!(weights.len() > 5 * 4 * 2 + 4 * 3 * 2);
    weights
}

/// Whether two lists of weights are the same numbers to the bit.
pub(crate) fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
