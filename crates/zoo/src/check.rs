//! Compares one computation on two devices.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::{
    Draws, Gradients, Key, LatentVariableModel, Strategy, Trainable, map_params, visit_params,
};
use helmholtz_noise::fill_uniform;
use helmholtz_ops::into_f64;

/// The device and the precision of a check.
pub struct On {
    /// The device.
    pub device: Device,
    /// The precision.
    pub dtype: DType,
}

impl On {
    /// Numbers between -1 and 1, the same on every device: `[n, d]`.
    pub fn matrix(&self, label: &str, [n, d]: [usize; 2]) -> Tensor<2> {
        self.tensor(uniforms(label, [n, d]).into_iter().map(|u| 2.0 * u - 1.0).collect(), [n, d])
    }

    /// Bits, the same on every device: `[n, d]`.
    pub fn bits(&self, label: &str, [n, d]: [usize; 2]) -> Tensor<2> {
        let bits = uniforms(label, [n, d]).into_iter().map(|u| f32::from(u8::from(u < 0.4)));
        self.tensor(bits.collect(), [n, d])
    }

    /// Numbers between -1 and 1: `[n]`.
    pub fn vector(&self, label: &str, n: usize) -> Tensor<1> {
        self.matrix(label, [1, n]).squeeze_dim(0)
    }

    fn tensor(&self, values: Vec<f32>, shape: [usize; 2]) -> Tensor<2> {
        let values = TensorData::new(values, shape).convert_dtype(self.dtype);
        Tensor::from_data(values, (&self.device, self.dtype))
    }

    /// The module in this precision; it was built in single precision, on this device.
    pub fn cast<M: Module>(&self, module: M) -> M {
        map_params(module, |_, param| param.values().cast(self.dtype))
    }
}

fn uniforms(label: &str, [n, d]: [usize; 2]) -> Vec<f32> {
    let key = Key::new(0).child("doctor").child(label);
    let mut values = vec![0.0f32; n * d];
    for (row, values) in values.chunks_exact_mut(d).enumerate() {
        fill_uniform(key, row as u64, 0, values);
    }
    values
}

/// The outputs of a check, by name.
#[derive(Default)]
pub struct Outputs(Vec<(String, Vec<f64>)>);

impl Outputs {
    /// Adds a tensor.
    pub fn put<const D: usize>(&mut self, name: impl Into<String>, tensor: Tensor<D>) {
        self.numbers(name, into_f64(tensor));
    }

    /// Adds numbers that are not in a tensor.
    pub fn numbers(&mut self, name: impl Into<String>, values: Vec<f64>) {
        self.0.push((name.into(), values));
    }

    /// Adds the gradients of the parameters of a module, by their paths.
    pub fn gradients<M: Module>(&mut self, name: &str, module: &M, gradients: &Gradients) {
        visit_params(module, |path, param| {
            if let Some(gradient) = param.gradient(gradients) {
                self.put(format!("{name}.{}", path.join(".")), gradient);
            }
        });
    }
}

/// What a check computes.
type Compute = Box<dyn Fn(&On, &mut Outputs)>;

/// A computation, and how much two devices may differ in it.
pub struct DoctorCheck {
    /// What is checked: a layer, a model, a strategy and so on.
    pub group: &'static str,
    /// Its name in the group.
    pub name: String,
    /// Largest deviation of an output, as a share of the output's largest number.
    pub tolerance: f64,
    compute: Compute,
}

impl DoctorCheck {
    /// A check of the outputs of `compute`.
    pub fn new(
        group: &'static str,
        name: impl Into<String>,
        tolerance: f64,
        compute: impl Fn(&On, &mut Outputs) + 'static,
    ) -> Self {
        DoctorCheck { group, name: name.into(), tolerance, compute: Box::new(compute) }
    }

    /// Compares the device with the reference.
    pub fn judge(&self, device: &On, reference: &On) -> DoctorRow {
        let compute = |on: &On| {
            let mut outputs = Outputs::default();
            catch_unwind(AssertUnwindSafe(|| (self.compute)(on, &mut outputs)))
                .map(|()| outputs)
                .map_err(|panic| words_of(&*panic))
        };
        let found = compute(reference)
            .map_err(|words| format!("the reference failed: {words}"))
            .and_then(|expected| Ok((compute(device)?, expected)))
            .and_then(|(found, expected)| largest(&found, &expected));
        let (deviation, output, error) = match found {
            Ok((deviation, output)) => (deviation, output, None),
            Err(words) => (f64::INFINITY, String::new(), Some(words)),
        };
        let DoctorCheck { group, name, tolerance, .. } = self;
        DoctorRow { group, name: name.clone(), tolerance: *tolerance, deviation, output, error }
    }
}

/// The result of a check.
#[derive(Debug)]
pub struct DoctorRow {
    /// The group of the check.
    pub group: &'static str,
    /// The name of the check.
    pub name: String,
    /// The tolerance of the check.
    pub tolerance: f64,
    /// The largest deviation of all outputs; infinite if nothing could be compared.
    pub deviation: f64,
    /// The output with this deviation.
    pub output: String,
    /// Why nothing could be compared, if so.
    pub error: Option<String>,
}

impl DoctorRow {
    /// Whether the deviation is within the tolerance.
    pub fn holds(&self) -> bool {
        self.deviation <= self.tolerance
    }
}

/// The largest deviation of an output, and its name.
fn largest(found: &Outputs, expected: &Outputs) -> Result<(f64, String), String> {
    if found.0.len() != expected.0.len() {
        return Err(format!("{} outputs, but the reference has {}", found.0.len(), expected.0.len()));
    }
    let mut worst = (0.0, String::new());
    for ((name, found), (of, expected)) in found.0.iter().zip(&expected.0) {
        if name != of || found.len() != expected.len() {
            return Err(format!(
                "{name} has {} numbers, but the reference has {} in {of}",
                found.len(),
                expected.len()
            ));
        }
        let deviation = deviation(found, expected);
        if deviation > worst.0 || worst.1.is_empty() {
            worst = (deviation, name.clone());
        }
    }
    if worst.1.is_empty() { Err("nothing was computed".to_string()) } else { Ok(worst) }
}

/// The largest difference as a share of the largest finite number expected. NaN and infinite values must be in the same
/// places.
fn deviation(found: &[f64], expected: &[f64]) -> f64 {
    let scale = expected.iter().filter(|x| x.is_finite()).fold(0.0f64, |max, x| max.max(x.abs()));
    let difference = |(a, b): (&f64, &f64)| {
        if a == b || (a.is_nan() && b.is_nan()) {
            0.0
        } else if a.is_finite() && b.is_finite() {
            (a - b).abs() / if scale > 0.0 { scale } else { 1.0 }
        } else {
            f64::INFINITY
        }
    };
    found.iter().zip(expected).map(difference).fold(0.0, f64::max)
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    words.unwrap_or("it panicked without a message").lines().next().unwrap_or_default().to_string()
}

/// Adds the outputs of what every model can do, on a batch `x` of five rows.
pub fn of_model<M: LatentVariableModel>(out: &mut Outputs, model: &M, x: Tensor<2>) {
    let draws = Draws::new(Key::new(2), 5, 7);
    let proposals = model.propose(x.clone(), &draws, 0.0);
    out.put("log p of proposals", proposals.p.log_prob.clone());
    out.put("log q of proposals", proposals.q.log_prob.clone());
    out.put("log weights", model.log_weights(x.clone(), &draws));
    out.put("decoded", model.decode(x, &proposals.latents));
    let (x, h) = model.dream(&Draws::new(Key::new(3), 6, 1));
    out.put("dreams", x.clone());
    out.put("log p of dreams", model.trace_joint(x.clone(), &h).log_prob);
    out.put("log q of dreams", model.trace_posterior(x, &h).log_prob);
}

/// Adds the outputs of one estimate: what it measures, and its gradients.
pub fn of_strategy<M: Trainable, S: Strategy<M>>(on: &On, out: &mut Outputs, model: &M, strategy: &S) {
    let estimate = strategy.estimate(model, &on.bits("batch", [10, model.observed()]).into(), Key::new(9));
    for found in &estimate.measured {
        out.put(found.measure.name, found.value.clone());
    }
    out.gradients("gradient", model, &estimate.gradients);
    out.gradients("gradient of the strategy's own", strategy, &estimate.gradients);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(dtype: DType) -> On {
        On { device: Device::flex(), dtype }
    }

    /// A product whose last element is off by `fault` in single precision alone: a fault of the device.
    fn product(fault: f32) -> DoctorCheck {
        DoctorCheck::new("operation", "product", 1e-5, move |on, out| {
            let mut product = on.matrix("a", [7, 13]).matmul(on.matrix("b", [13, 10]));
            if on.dtype == DType::F32 {
                let last = product.clone().slice([6..7, 9..10]) + fault;
                product = product.slice_assign([6..7, 9..10], last);
            }
            out.put("product [7, 10]", product);
        })
    }

    #[test]
    fn rounding_passes_and_a_fault_in_a_single_element_does_not() {
        let judge = |fault| product(fault).judge(&on(DType::F32), &on(DType::F64));
        let sound = judge(0.0);
        assert!(sound.holds() && sound.deviation > 0.0, "{sound:?}");
        let faulty = judge(1e-3);
        assert!(!faulty.holds() && faulty.output == "product [7, 10]", "{faulty:?}");
        for fault in [f32::NAN, f32::INFINITY] {
            assert_eq!(judge(fault).deviation, f64::INFINITY);
        }
    }

    #[test]
    fn what_panics_or_computes_nothing_is_a_row_that_misses() {
        let judge = |compute: fn(&On, &mut Outputs)| {
            DoctorCheck::new("operation", "none", 1.0, compute).judge(&on(DType::F32), &on(DType::F64))
        };
        let panicked = judge(|on, _| assert!(on.dtype == DType::F64, "no such kernel"));
        assert!(!panicked.holds() && panicked.error.as_deref() == Some("no such kernel"), "{panicked:?}");
        assert!(!judge(|_, _| ()).holds());
        let shorter = judge(|on, out| {
            out.put("x", on.vector("x", if on.dtype == DType::F64 { 3 } else { 2 }));
        });
        assert!(!shorter.holds() && shorter.error.is_some());
    }

    #[test]
    fn infinities_in_the_same_places_are_no_deviation() {
        let inf = f64::INFINITY;
        assert_eq!(deviation(&[inf, -inf, f64::NAN, 1.0], &[inf, -inf, f64::NAN, 1.0]), 0.0);
        assert_eq!(deviation(&[inf], &[-inf]), inf);
        assert_eq!(deviation(&[0.0, 2.0], &[0.0, 4.0]), 0.5);
        assert_eq!(deviation(&[1e-3], &[0.0]), 1e-3);
    }
}
