//! What is remembered from one step to the next.

use burn::module::RunningState;
use burn::tensor::{Tensor, TensorData};

use crate::module_of_field;

/// A tensor that a module remembers: chains, baselines, averages, caches. It travels in checkpoints under the name of its
/// field, and no optimiser moves it.
///
/// What is written is there at once, for whoever reads it next, on whichever thread, and for a checkpoint. A clone shares
/// the memory; a module on another device, or one whose autodiff was switched on or off, has its own.
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
/// let same = chain.clone();
/// chain.state.set_numbers(&[1.0, 2.0, 3.0]);
/// assert_eq!(same.state.numbers(), [1.0, 2.0, 3.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Memory<T> {
    state: RunningState<T>,
}

module_of_field!(Memory<Tensor<D>>, state, const D: usize);

impl<const D: usize> Memory<Tensor<D>> {
    /// A memory that begins with a tensor.
    pub fn new(value: Tensor<D>) -> Self {
        Memory { state: RunningState::new(value) }
    }

    /// What it holds, without autodiff.
    pub fn get(&self) -> Tensor<D> {
        self.state.value_sync().without_autodiff()
    }

    /// Replaces what it holds.
    pub fn set(&self, value: Tensor<D>) {
        self.state.update(Tensor::from_inner(value));
        // At once: Burn's running state keeps what a thread has written apart until then.
        let _ = self.state.value_sync();
    }
}

impl Memory<Tensor<1>> {
    /// The numbers that it holds.
    pub fn numbers(&self) -> Vec<f64> {
        let values = self.get().into_data_as::<f64>();
        values.try_to_vec().expect("it was read as such numbers")
    }

    /// Replaces them; they are kept in the type that they had.
    pub fn set_numbers(&self, values: &[f64]) {
        let held = self.get();
        let data = TensorData::from(values).convert_dtype(held.dtype());
        self.set(Tensor::from_data(data, (&held.device(), held.dtype())));
    }
}
