//! Reaching host memory.

use burn::tensor::{DType, Device, Element, Tensor, TensorData};

/// True if tensors on `device` lie in host memory, where a loop of our own can reach them.
pub fn in_host_memory(device: &Device) -> bool {
    // Burn offers no such question; its CPU backends are told by their names.
    let name = format!("{device:?}");
    name.contains("Flex") || name.contains("NdArray")
}

/// The tensor's values; free of copies if nothing else holds the tensor.
pub(crate) fn values<T: Element, const D: usize>(tensor: Tensor<D>) -> Vec<T> {
    tensor.into_data().try_into_vec().expect("the caller has matched the element type")
}

/// A tensor of its own element type, without copying.
pub(crate) fn tensor<T: Element, const D: usize>(
    values: Vec<T>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, T::dtype()))
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
            other => panic!("this operation works in f32 and f64, not in {other:?}"),
        }
    };
}
pub(crate) use for_real;

/// The device to compute on, or a panic that names both if they differ.
pub(crate) fn common_dtype(a: DType, b: DType) -> DType {
    assert_eq!(a, b, "operands differ in their element type");
    a
}

/// How often a row of the shorter side serves consecutive rows of the longer one.
pub(crate) fn repeats(longer: usize, shorter: usize) -> usize {
    assert!(
        shorter > 0 && longer.is_multiple_of(shorter),
        "{longer} rows are not a whole number of times {shorter} rows"
    );
    longer / shorter
}
