//! Shared parts of the contract tests: small models in double precision, and gradients as plain numbers.

pub mod case;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{DType, Device, Gradients as TapeGradients, Tensor, TensorData};
use helmholtz_core::{Gradients, Key, Role, map_params, visit_params};
use helmholtz_directed::{HelmholtzMachine, LayerKind, StackConfig};
use helmholtz_noise::Stream;
use helmholtz_vae::{Vae, VaeConfig};

/// The device that every contract test runs on.
pub fn device() -> Device {
    Device::flex()
}

/// The size of a test: `every_run`, or `nightly` if `HELMHOLTZ_NIGHTLY=1` is set, as `.ci/nightly` does.
///
/// Thresholds must hold for both, with the false-alarm probabilities that are written beside them.
pub fn either<T>(every_run: T, nightly: T) -> T {
    if std::env::var_os("HELMHOLTZ_NIGHTLY").is_some_and(|value| value == "1") { nightly } else { every_run }
}

/// A stack in double precision whose weights are large enough for the layers to matter.
pub fn sbn(observed: usize, latents: &[usize], seed: u64) -> HelmholtzMachine {
    sbn_with_spread(observed, latents, seed, 0.8)
}

/// [`sbn`] with its fresh weights scaled by twice `spread` and every parameter moved by up to `spread`.
pub fn sbn_with_spread(observed: usize, latents: &[usize], seed: u64, spread: f64) -> HelmholtzMachine {
    let mean: Vec<f64> = (0..observed).map(|j| 0.2 + 0.1 * (j % 5) as f64).collect();
    let model = StackConfig::new(observed, latents.to_vec())
        .init(Some(&mean), Key::new(seed), &device())
        .expect("sizes are positive");
    perturbed(model, seed, spread)
}

/// A stack with layers of one kind, in double precision, whose weights are large enough to matter.
pub fn stack_of(kind: LayerKind, observed: usize, latents: &[usize], seed: u64) -> HelmholtzMachine {
    stack(&StackConfig::of(kind, observed, latents.to_vec()), seed)
}

/// The stack of a config, in double precision, whose weights are large enough to matter.
pub fn stack(config: &StackConfig, seed: u64) -> HelmholtzMachine {
    let model = config.init(None, Key::new(seed), &device()).expect("the config is valid");
    perturbed(model, seed, 0.8)
}

/// The variational autoencoder of a config, in double precision, whose weights are large enough to matter.
pub fn vae(config: &VaeConfig, seed: u64) -> Vae {
    perturbed(config.init(None, Key::new(seed), &device()).expect("the config is valid"), seed, 0.5)
}

/// A module in double precision with its weights scaled by twice `spread` and every parameter moved by up to
/// `spread`.
fn perturbed<M: Module>(model: M, seed: u64, spread: f64) -> M {
    let mut stream = Stream::new(Key::new(seed).child(Role::Data));
    map_params(model, |_, param| {
        let noise: Vec<f64> =
            (0..param.shape().num_elements()).map(|_| stream.uniform_in(-spread, spread)).collect();
        let values = param.values().cast(DType::F64).mul_scalar(2.0 * spread);
        values + Tensor::from_data(noise.as_slice(), (&device(), DType::F64))
    })
}

/// A row of bits in double precision: `[1, d]`.
pub fn row(bits: &[u8]) -> Tensor<2> {
    let values: Vec<f64> = bits.iter().map(|&b| f64::from(b)).collect();
    Tensor::from_data(TensorData::new(values, [1, bits.len()]), (&device(), DType::F64))
}

/// A tensor's values in double precision.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert_dtype(DType::F64).try_to_vec().expect("converted to f64 just now")
}

/// Gradients as plain numbers, by parameter path.
pub type Named = BTreeMap<String, Vec<f64>>;

/// The gradients of a model's parameters, by path.
pub fn named<M: Module>(model: &M, gradients: &Gradients) -> Named {
    let mut found = Named::new();
    visit_params(model, |path, param| {
        if let Some(gradient) = param.gradient(gradients) {
            found.insert(path.join("."), values(gradient));
        }
    });
    found
}

/// The gradients from automatic differentiation, by path.
pub fn taped<M: Module>(model: &M, gradients: TapeGradients) -> Named {
    named(model, &Gradients::from(burn::optim::GradientsParams::from_grads(gradients, model)))
}

/// The part of `named` whose path contains `block`.
pub fn block(named: &Named, block: &str) -> Named {
    named.iter().filter(|(path, _)| path.contains(block)).map(|(p, v)| (p.clone(), v.clone())).collect()
}

/// Adds `scale` times `from` to `into`.
pub fn add_scaled(into: &mut Named, from: &Named, scale: f64) {
    for (path, values) in from {
        let sum = into.entry(path.clone()).or_insert_with(|| vec![0.0; values.len()]);
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += scale * value);
    }
}

/// The largest absolute difference between two sets of gradients with the same paths.
pub fn distance(a: &Named, b: &Named) -> f64 {
    assert!(a.keys().eq(b.keys()), "{:?} against {:?}", a.keys(), b.keys());
    a.iter().flat_map(|(path, a)| a.iter().zip(&b[path])).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The Euclidean norm over all parameters.
pub fn norm(gradients: &Named) -> f64 {
    gradients.values().flatten().map(|g| g * g).sum::<f64>().sqrt()
}
