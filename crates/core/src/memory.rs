//! Tensors that are remembered from one step to the next.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
    ParamId,
};
use burn::tensor::{Device, Tensor, TensorData};

/// A tensor that a module remembers: chains, baselines, averages, caches. Checkpoints store it under the name of its
/// field, and no optimiser changes it.
///
/// A write is visible at once to every thread and to checkpoints. A clone shares the memory. An operation that makes
/// another module (another device, other weights, autodiff on or off) makes a separate memory, which starts with the
/// contents of this one.
///
/// ```
/// use burn::module::Module;
/// use burn::tensor::{Device, Tensor};
/// use helmholtz_core::Memory;
///
/// #[derive(Module, Debug)]
/// struct Chain {
///     state: Memory<Tensor<1>>,
/// }
///
/// let chain = Chain { state: Memory::new(Tensor::zeros([3], &Device::flex())) };
/// let (same, other) = (chain.clone(), chain.valid());
/// chain.state.set_numbers(&[1.0, 2.0, 3.0]);
/// assert_eq!(same.state.numbers(), [1.0, 2.0, 3.0]);
/// assert_eq!(other.state.numbers(), [0.0; 3]);
/// ```
#[derive(Clone, Debug)]
pub struct Memory<T> {
    id: ParamId,
    held: Arc<Mutex<T>>,
}

impl<const D: usize> Memory<Tensor<D>> {
    /// A memory that starts with a tensor.
    pub fn new(value: Tensor<D>) -> Self {
        Memory { id: ParamId::new(), held: Arc::new(Mutex::new(value)) }
    }

    /// What it holds, without autodiff.
    pub fn get(&self) -> Tensor<D> {
        self.held().without_autodiff()
    }

    /// Replaces what it holds.
    pub fn set(&self, value: Tensor<D>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Keep the kind of tensor that was held: an autodiff tensor, if the module's parameters are on autodiff.
        *held = if held.is_autodiff() { Tensor::from_inner(value) } else { value };
    }

    fn held(&self) -> Tensor<D> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A separate memory with the same id.
    fn with(&self, value: Tensor<D>) -> Self {
        Memory { id: self.id, held: Arc::new(Mutex::new(value)) }
    }
}

impl Memory<Tensor<1>> {
    /// The numbers that it holds.
    pub fn numbers(&self) -> Vec<f64> {
        let values = self.get().into_data_as::<f64>();
        values.try_to_vec().expect("the data was converted to f64")
    }

    /// Replaces the numbers; the floating-point type stays the same.
    pub fn set_numbers(&self, values: &[f64]) {
        let held = self.get();
        let data = TensorData::from(values).convert_dtype(held.dtype());
        self.set(Tensor::from_data(data, (&held.device(), held.dtype())));
    }
}

impl<const D: usize> Module for Memory<Tensor<D>> {
    fn collect_devices(&self, mut devices: Devices) -> Devices {
        let device = self.held().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn to_device(self, device: &Device) -> Self {
        self.with(self.held().to_device(device))
    }

    fn train(self) -> Self {
        self.with(Tensor::from_inner(self.held()))
    }

    fn valid(&self) -> Self {
        self.with(self.get())
    }

    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.visit_float(&Param::initialized(self.id, self.held()));
    }

    /// The result requires no gradient, so no optimiser takes it for a parameter.
    fn map<T: ModuleMapper>(self, mapper: &mut T) -> Self {
        let mapped = mapper.map_float(Param::initialized(self.id, self.held()));
        let (_, value, _) = mapped.consume();
        self.with(value.set_require_grad(false))
    }
}

impl<const D: usize> ModuleDisplayDefault for Memory<Tensor<D>> {
    fn content(&self, content: Content) -> Option<Content> {
        Some(content)
    }
}

impl<const D: usize> ModuleDisplay for Memory<Tensor<D>> {}

impl<const D: usize> std::fmt::Display for Memory<Tensor<D>> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory {:?}", self.held().dims())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory<Tensor<1>> {
        Memory::new(Tensor::zeros([2], &Device::flex()))
    }

    #[test]
    fn a_clone_shares_and_whatever_makes_another_module_makes_another_memory() {
        let first = memory();
        let shared = first.clone();
        std::thread::scope(|threads| {
            threads.spawn(|| shared.set_numbers(&[1.0, 2.0]));
        });
        assert_eq!(first.numbers(), [1.0, 2.0]);
        let others = [
            first.clone().valid(),
            first.clone().train(),
            first.clone().train().valid(),
            first.clone().to_device(&Device::flex()),
            first.clone().load_record(first.clone().into_record()),
        ];
        for (i, other) in others.iter().enumerate() {
            assert_eq!(other.numbers(), [1.0, 2.0], "{i}: it starts with the contents of the first");
            other.set_numbers(&[3.0, 4.0 + i as f64]);
            assert_eq!((first.numbers(), other.numbers()), (vec![1.0, 2.0], vec![3.0, 4.0 + i as f64]));
        }
        let other = memory().load_record(first.clone().into_record());
        assert_eq!(other.numbers(), [1.0, 2.0]);
    }
}
