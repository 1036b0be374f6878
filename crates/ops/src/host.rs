//! Access to host memory.
//!
//! With Burn's `flex` backend, a tensor's memory can be read in place. Burn's `into_data` copies shared values,
//! `TensorData` copies them twice more on the way to a `Vec`, for alignment, and a matrix product copies its result
//! once. A training step would spend a fifth of its time on these copies. With the feature `flex` of this crate, values
//! are therefore read through Burn's extension interface, and results become tensors without a copy.

use std::ops::Deref;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::real::Real;

/// True if tensors on `device` are in host memory, where loops of this crate can read them.
pub fn in_host_memory(device: &Device) -> bool {
    // Burn has no function for this; its CPU backends are recognised by their names.
    let name = format!("{device:?}");
    // The name of a remote device includes the address of its server, which may contain anything.
    !name.contains("Remote") && (name.contains("Flex") || name.contains("NdArray"))
}

/// Runs `f` on a thread of the pool that runs loops and matrix products, if tensors on `device` are in host memory.
///
/// A thread outside the pool would sleep until the pool has finished each of these operations, dozens of times in a
/// step. On other devices each thread has its own queue, and `f` runs on the current thread.
pub fn on_workers<T: Send>(device: &Device, f: impl FnOnce() -> T + Send) -> T {
    if in_host_memory(device) { rayon::scope(|_| f()) } else { f() }
}

/// Applies `f` to each item and returns the results in order. If tensors on `device` are in host memory and not on
/// autodiff, and all items together take at least about 2^20 `multiplications`, the items run in parallel on the threads of the
/// pool; otherwise they run one after another.
///
/// A thread that has finished its part of one product can start on another product, and need not wait for the others.
pub fn side_by_side<I: Send, T: Send>(
    device: &Device,
    multiplications: usize,
    items: impl IntoIterator<Item = I>,
    f: impl Fn(I) -> T + Send + Sync,
) -> Vec<T> {
    if multiplications < WORTH_SHARING || device.is_autodiff() || !in_host_memory(device) {
        return items.into_iter().map(f).collect();
    }
    let items: Vec<I> = items.into_iter().collect();
    items.into_par_iter().with_max_len(1).map(f).collect()
}

/// With fewer multiplications than this, handing products to other threads costs more than it gains.
const WORTH_SHARING: usize = 1 << 20;

/// The values of a tensor on any device, row after row, in double precision.
pub fn into_f64<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data_as::<f64>().try_to_vec().expect("the data was converted to f64")
}

/// With fewer elements than this, threads cost more than they gain.
pub(crate) const SEQUENTIAL: usize = 1 << 13;

/// Values of a tensor that are only read: the tensor's own memory if it is accessible, otherwise a copy.
pub(crate) enum Values<T> {
    Copied(Vec<T>),
    #[cfg(feature = "flex")]
    Shared(flex::Shared),
}

impl<T: Real> Deref for Values<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Values::Copied(values) => values,
            #[cfg(feature = "flex")]
            Values::Shared(shared) => shared.values(),
        }
    }
}

/// The tensor's values, for reading only.
pub(crate) fn read<T: Real, const D: usize>(tensor: Tensor<D>) -> Values<T> {
    #[cfg(feature = "flex")]
    if let Some(shared) = flex::Shared::of(&tensor) {
        return Values::Shared(shared);
    }
    Values::Copied(values(tensor))
}

/// The tensor's values: a vector to change if nothing else holds them, otherwise shared values to read.
pub(crate) fn take<T: Real, const D: usize>(tensor: Tensor<D>) -> Result<Vec<T>, Values<T>> {
    #[cfg(feature = "flex")]
    if let Some(shared) = flex::Shared::of(&tensor) {
        drop(tensor);
        return if shared.is_unique() { Ok(shared.into_vec()) } else { Err(Values::Shared(shared)) };
    }
    Ok(values(tensor))
}

/// The tensor's values; not copied if nothing else holds the tensor and its memory is a vector made by this crate.
pub(crate) fn values<T: Real, const D: usize>(tensor: Tensor<D>) -> Vec<T> {
    #[cfg(feature = "flex")]
    if let Some(shared) = flex::Shared::of(&tensor) {
        drop(tensor);
        return shared.into_vec();
    }
    tensor.into_data().try_into_vec().expect("the caller has matched the element type")
}

/// The tensor's values after `pass` has changed them on all threads, in parts of `size` values, each together with its
/// item of `beside`. Values that nothing else holds are changed in place; otherwise each part is copied just before it
/// is changed.
///
/// # Panics
/// If there is not exactly one item for each part.
pub(crate) fn change<T: Real, const D: usize, Beside: Send>(
    tensor: Tensor<D>,
    size: usize,
    beside: impl IndexedParallelIterator<Item = Beside>,
    pass: impl Fn(&mut [T], Beside) + Sync,
) -> Vec<T> {
    let n = tensor.shape().num_elements();
    assert_eq!(beside.len(), n.div_ceil(size), "the number of items is not the number of parts");
    // A single part is not worth waking other threads for.
    let least = if n <= size { usize::MAX } else { 1 };
    match take::<T, D>(tensor) {
        Ok(mut values) => {
            let parts = values.par_chunks_mut(size).zip(beside).with_min_len(least);
            parts.for_each(|(part, beside)| pass(part, beside));
            values
        }
        Err(shared) => {
            let mut values = Vec::with_capacity(n);
            let parts = values.spare_capacity_mut()[..n].par_chunks_mut(size).zip(shared.par_chunks(size));
            parts
                .zip(beside)
                .with_min_len(least)
                .for_each(|((part, from), beside)| pass(part.write_copy_of_slice(from), beside));
            // SAFETY: the parts cover all n elements, and each part was written from a slice of its length.
            unsafe { values.set_len(n) };
            values
        }
    }
}

/// A tensor in the element type of `values`, without copying.
pub(crate) fn tensor<T: Real, const D: usize>(
    values: Vec<T>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, T::dtype()))
}

/// Burn's `flex`, whose tensors are in the memory of this process.
#[cfg(feature = "flex")]
pub(crate) mod flex {
    use burn::backend::{BackendTypes, Flex};
    use burn::tensor::{Device, Tensor};

    use super::in_host_memory;
    use crate::real::Real;

    type Primitive = <Flex as BackendTypes>::FloatTensorPrimitive;

    /// True if tensors on `device` are plain tensors of `flex`, without autodiff.
    pub(crate) fn is_plain(device: &Device) -> bool {
        !device.is_autodiff() && in_host_memory(device) && format!("{device:?}").contains("Flex")
    }

    /// A tensor with contiguous values, held for as long as they are read.
    pub(crate) struct Shared(Primitive);

    impl Shared {
        /// The tensor's memory, if the tensor is plain and contiguous.
        pub(crate) fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
            if !is_plain(&tensor.device()) {
                return None;
            }
            let primitive = tensor.clone().try_into_primitive::<Flex>().ok()?;
            primitive.is_contiguous().then_some(Shared(primitive))
        }

        pub(crate) fn values<T: Real>(&self) -> &[T] {
            self.0.as_slice().expect("the values are contiguous, and the caller has matched the element type")
        }

        /// Whether nothing else holds the values.
        pub(crate) fn is_unique(&self) -> bool {
            self.0.is_unique()
        }

        /// The values; copied only if something else holds them.
        pub(crate) fn into_vec<T: Real>(self) -> Vec<T> {
            if !self.is_unique() {
                return self.values().to_vec();
            }
            self.0.into_data().try_into_vec().expect("the caller has matched the element type")
        }
    }
}

/// Runs `$body` with `$T` bound to the element type of `$dtype`.
macro_rules! for_real {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            burn::tensor::DType::F32 => {
                type $T = f32;
                $body
            }
            burn::tensor::DType::F64 => {
                type $T = f64;
                $body
            }
            other => panic!("this operation supports f32 and f64, not {other:?}"),
        }
    };
}
pub(crate) use for_real;

/// The common element type; panics and names both types if they differ.
pub(crate) fn common_dtype(a: DType, b: DType) -> DType {
    assert_eq!(a, b, "the operands differ in their element type");
    a
}

/// The number of consecutive rows of the longer side that each row of the shorter side serves.
pub(crate) fn repeats(longer: usize, shorter: usize) -> usize {
    assert!(
        shorter > 0 && longer.is_multiple_of(shorter),
        "{longer} rows are not a multiple of {shorter} rows"
    );
    longer / shorter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(shape: [usize; 2]) -> Tensor<2> {
        let values: Vec<f32> = (0..shape[0] * shape[1]).map(|i| i as f32).collect();
        tensor(values, shape, &Device::flex())
    }

    #[test]
    fn values_are_those_of_the_tensor_however_it_lies_in_memory() {
        let x = numbers([6, 4]);
        let plain: Vec<f32> = (0..24).map(|i| i as f32).collect();
        assert_eq!(&*read::<f32, 2>(x.clone()), plain);
        assert_eq!(values::<f32, 2>(x.clone()), plain);
        // A slice in the middle, and a slice whose rows are not contiguous.
        assert_eq!(&*read::<f32, 2>(x.clone().slice([2..4, 0..4])), &plain[8..16]);
        assert_eq!(values::<f32, 2>(x.clone().slice([2..4, 0..4])), &plain[8..16]);
        assert_eq!(&*read::<f32, 2>(x.clone().slice([0..2, 1..3])), [1.0, 2.0, 5.0, 6.0]);
        let transposed = x.clone().slice([0..2, 0..2]).transpose();
        assert_eq!(&*read::<f32, 2>(transposed.clone()), [0.0, 4.0, 1.0, 5.0]);
        assert_eq!(values::<f32, 2>(transposed), [0.0, 4.0, 1.0, 5.0]);
        // Results of Burn's own operations, and tensors on autodiff.
        let product = x.clone().matmul(numbers([4, 1]));
        assert_eq!(read::<f32, 2>(product.clone())[..2], [14.0, 38.0]);
        assert_eq!(values::<f32, 2>(product)[..2], [14.0, 38.0]);
        assert_eq!(&*read::<f32, 2>(x.autodiff()), plain);
    }

    #[test]
    fn all_parts_are_changed_and_nobody_elses_values() {
        for n in [0, 1, 7, 8, 9, 100] {
            let x = tensor((0..n).map(|i| i as f32).collect(), [n], &Device::flex());
            let beside: Vec<f32> = (0..n.div_ceil(8)).map(|i| i as f32).collect();
            let pass = |part: &mut [f32], more: f32| part.iter_mut().for_each(|x| *x += more);
            let expected: Vec<f32> = (0..n).map(|i| (i + i / 8) as f32).collect();
            let other = x.clone();
            assert_eq!(change(x, 8, beside.clone().into_par_iter(), pass), expected);
            let values = other.to_data().try_to_vec::<f32>().unwrap();
            assert!(values.iter().enumerate().all(|(i, x)| *x == i as f32));
            assert_eq!(change(other, 8, beside.into_par_iter(), pass), expected);
        }
    }

    #[test]
    #[should_panic(expected = "the number of items is not the number of parts")]
    fn a_part_with_nothing_beside_it_is_refused() {
        change(numbers([3, 3]), 4, vec![(); 2].into_par_iter(), |_: &mut [f32], ()| {});
    }

    #[test]
    fn what_is_taken_from_a_shared_tensor_leaves_the_other_as_it_was() {
        let x = numbers([2, 3]);
        let mut taken = values::<f32, 2>(x.clone());
        taken[0] = 9.0;
        assert_eq!(x.into_data().try_to_vec::<f32>().unwrap()[0], 0.0);
    }

    #[test]
    #[cfg(feature = "flex")]
    fn what_nobody_shares_is_taken_and_what_is_read_is_not_copied() {
        let values_of = vec![1.0f32; 1000];
        let place = values_of.as_ptr();
        let x = tensor(values_of, [10, 100], &Device::flex());
        assert_eq!(read::<f32, 2>(x.clone()).as_ptr(), place);
        assert!(take::<f32, 2>(x.clone()).is_err_and(|shared| shared.as_ptr() == place));
        let taken = values::<f32, 2>(x);
        assert_eq!(taken.as_ptr(), place);
        let taken = take::<f32, 2>(tensor(taken, [10, 100], &Device::flex()));
        assert!(taken.is_ok_and(|taken| taken.as_ptr() == place));
    }
}
