//! Matrix products of constants.
//!
//! Elsewhere they are Burn's own; on `flex` its kernel is called here, on the same operands in the same order and so
//! with the same result to the bit, but into a vector that is handed on as it is: Burn clears a buffer first and copies
//! it afterwards, for alignment.

use burn::tensor::Tensor;

/// `a b`.
///
/// # Shapes
/// - `a`: `[n, k]`, `b`: `[k, m]`; output `[n, m]`
pub fn ab(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if host::applies(&a, &b) {
        return host::multiply(a, b, [false, false]);
    }
    a.matmul(b)
}

/// `aᵀ b`: what makes a gradient of inputs and errors.
///
/// # Shapes
/// - `a`: `[k, n]`, `b`: `[k, m]`; output `[n, m]`
pub fn atb(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if host::applies(&a, &b) {
        return host::multiply(a, b, [true, false]);
    }
    a.transpose().matmul(b)
}

/// `a bᵀ`: what takes a derivative back through weights.
///
/// # Shapes
/// - `a`: `[n, k]`, `b`: `[m, k]`; output `[n, m]`
pub fn abt(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if host::applies(&a, &b) {
        return host::multiply(a, b, [false, true]);
    }
    a.matmul(b.transpose())
}

#[cfg(feature = "flex")]
mod host {
    use burn::tensor::{DType, Tensor};

    use crate::host::{self, for_real};
    use crate::real::Real;

    /// Below so many multiplications threads cost more than they bring; Burn's own bound.
    const SEQUENTIAL: usize = 192 * 192 * 192;

    /// Whether both are plain tensors of `flex`, in a type that the kernel takes.
    pub(super) fn applies(a: &Tensor<2>, b: &Tensor<2>) -> bool {
        let of_type = a.dtype() == b.dtype() && matches!(a.dtype(), DType::F32 | DType::F64);
        of_type && host::flex::is_plain(&a.device()) && host::flex::is_plain(&b.device())
    }

    /// The product of two matrices, each transposed first if so marked.
    pub(super) fn multiply(a: Tensor<2>, b: Tensor<2>, transposed: [bool; 2]) -> Tensor<2> {
        for_real!(a.dtype(), T => of_type::<T>(a, b, transposed))
    }

    fn of_type<T: Real>(a: Tensor<2>, b: Tensor<2>, [a_turned, b_turned]: [bool; 2]) -> Tensor<2> {
        let device = a.device();
        let turned = |[rows, columns]: [usize; 2], turned: bool| {
            if turned { [columns, rows] } else { [rows, columns] }
        };
        let ([n, k], [k_b, m]) = (turned(a.dims(), a_turned), turned(b.dims(), b_turned));
        assert_eq!(k, k_b, "a product of [{n}, {k}] and [{k_b}, {m}]");
        let (a, b) = (host::read::<T, 2>(a), host::read::<T, 2>(b));
        if n * k * m == 0 {
            return host::tensor(vec![T::ZERO; n * m], [n, m], &device);
        }
        // Strides between columns and between rows.
        let strides = |turned: bool, [rows, columns]: [usize; 2]| {
            if turned { [rows as isize, 1] } else { [1, columns as isize] }
        };
        let ([a_column, a_row], [b_column, b_row]) = (strides(a_turned, [n, k]), strides(b_turned, [k, m]));
        let parallelism = if n.saturating_mul(k).saturating_mul(m) < SEQUENTIAL {
            gemm::Parallelism::None
        } else {
            gemm::Parallelism::Rayon(0)
        };
        assert!(a.len() == n * k && b.len() == k * m, "an operand's values are not those of its shape");
        let mut product = Vec::with_capacity(n * m);
        // SAFETY: with these strides every element of the operands lies within their slices, whose lengths were just
        // checked, and every element of the result within the vector's capacity. The result is not read
        // (`read_dst` is false), and all n m elements of it are written, so that the vector may have that length.
        unsafe {
            gemm::gemm(
                n,
                m,
                k,
                product.as_mut_ptr(),
                1,
                m as isize,
                false,
                a.as_ptr(),
                a_column,
                a_row,
                b.as_ptr(),
                b_column,
                b_row,
                T::ZERO,
                T::ONE,
                false,
                false,
                false,
                parallelism,
            );
            product.set_len(n * m);
        }
        host::tensor(product, [n, m], &device)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    fn matrix(n: usize, d: usize, seed: usize, dtype: DType) -> Tensor<2> {
        let values: Vec<f64> = (0..n * d).map(|i| ((i * seed) % 101) as f64 / 50.0 - 1.0).collect();
        let values = TensorData::new(values, [n, d]).convert_dtype(dtype);
        Tensor::from_data(values, (&Device::flex(), dtype))
    }

    #[test]
    fn products_are_burns_own_to_the_bit() {
        for dtype in [DType::F32, DType::F64] {
            for [n, k, m] in [[1, 1, 1], [7, 13, 10], [50, 1, 3], [100, 784, 200], [300, 200, 50], [5, 40, 1]]
            {
                let (a, b) = (matrix(n, k, 37, dtype), matrix(k, m, 53, dtype));
                let (at, bt) = (matrix(k, n, 41, dtype), matrix(m, k, 59, dtype));
                let same = |found: Tensor<2>, expected: Tensor<2>| {
                    assert_eq!(found.into_data(), expected.into_data(), "[{n}, {k}] by [{k}, {m}]");
                };
                same(ab(a.clone(), b.clone()), a.clone().matmul(b.clone()));
                same(atb(at.clone(), b.clone()), at.transpose().matmul(b));
                same(abt(a.clone(), bt.clone()), a.matmul(bt.transpose()));
            }
        }
    }

    #[test]
    fn operands_may_be_parts_and_transposed_ones_of_others() {
        let (a, b) = (matrix(8, 6, 37, DType::F64), matrix(6, 8, 53, DType::F64));
        let part = a.clone().slice([2..5, 1..4]);
        let (found, expected) =
            (ab(part.clone(), b.clone().slice([1..4, 0..8])), part.matmul(b.clone().slice([1..4, 0..8])));
        assert_eq!(found.into_data(), expected.into_data());
        let found = ab(b.clone().transpose(), a.clone().transpose());
        let expected = b.transpose().matmul(a.transpose());
        // The same sums of six terms, in an order that may differ with the strides.
        found
            .into_data()
            .assert_approx_eq::<f64>(&expected.into_data(), burn::tensor::Tolerance::rel_abs(1e-14, 1e-14));
    }

    #[test]
    fn a_product_of_tracked_tensors_is_on_the_tape() {
        let a = matrix(3, 4, 37, DType::F64).autodiff().require_grad();
        let b = matrix(4, 2, 53, DType::F64);
        let gradients = ab(a.clone(), b.clone().autodiff()).sum().backward();
        let expected = Tensor::<2>::ones([3, 2], (&Device::flex(), DType::F64)).matmul(b.transpose());
        assert_eq!(a.grad(&gradients).unwrap().into_data(), expected.into_data());
    }
}
