//! Matrix products of constants.
//!
//! On `flex` there are two methods; other backends use Burn's own product.
//!
//! If the left side is a matrix of bits and the shape makes it faster, the product uses tables of sums
//! ([`bits`](crate::bits)), which are exact to rounding.
//!
//! Otherwise Burn's kernel is called here, with the same result to the bit. It writes into a vector that becomes the
//! tensor without a copy, whereas Burn clears a buffer first and copies it afterwards, for alignment. A wide product
//! is cut into bands of rows, and one thread multiplies a band from packing to the last sum; threads that share one
//! product would wait for each other after each of its stages. An element's sum is the same with and without bands,
//! because the kernel splits a sum by its length alone.

use burn::tensor::{Device, Tensor};

use crate::rows;

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

/// `aᵀ b`: the gradient of weights, from inputs and errors.
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

/// `a bᵀ`: a derivative taken back through weights.
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

/// `aᵀ diag(w) b` and the sums `wᵀ b`: the gradients of weights and bias, from inputs, row weights and errors.
///
/// # Shapes
/// - `a`: `[k, n]`, `weights`: `[k]`, `b`: `[k, m]`; output `[n, m]` and `[m]`
pub fn weighed_atb(a: Tensor<2>, weights: Tensor<1>, b: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
    #[cfg(feature = "flex")]
    if let Some(found) = host::multiply_bits_weighed(&a, &weights, &b) {
        return found;
    }
    let ([_, n], [_, m]) = (a.dims(), b.dims());
    if n < m {
        // (diag(w) A)ᵀ B is Aᵀ diag(w) B, with fewer numbers to multiply by weights.
        let (weighed, _) = rows::weigh(a, weights.clone(), 1);
        let sums = ab(weights.unsqueeze(), b.clone()).squeeze_dim(0);
        return (atb(weighed, b), sums);
    }
    let (weighed, sums) = rows::weigh(b, weights, 1);
    (atb(a, weighed), sums)
}

/// The fewest rows that are multiplied in the same way as `n` rows, at most `n`: each row of the product `[r, k]` by
/// `[k, m]` is the same to the bit for every number of rows r from there to `n`.
///
/// It is 1 on devices whose own products are used, about which nothing is known.
pub fn rows_alike(n: usize, [k, m]: [usize; 2], device: &Device) -> usize {
    #[cfg(feature = "flex")]
    if crate::host::flex::is_plain(device) {
        return host::rows_alike(n, [k, m]);
    }
    let _ = (n, k, m, device);
    1
}

#[cfg(feature = "flex")]
mod host {
    use std::mem::MaybeUninit;

    use burn::tensor::{DType, Tensor};
    use rayon::prelude::*;

    use crate::bits::{self, Instructions, Lanes, Left, Packed, Right};
    use crate::host::{self, for_real};
    use crate::real::Real;

    /// With fewer multiplications than this, threads cost more than they gain; the bound is Burn's own.
    const SEQUENTIAL: usize = 192 * 192 * 192;

    /// Number of rows that the kernel takes at once.
    const TILE: usize = 6;

    /// With this many rows for each thread, each thread gets two bands, so that a slow thread delays the others less.
    const MANY: usize = 192;

    /// How the kernel computes a product of `[n, m]`, as far as that changes its sums.
    #[derive(PartialEq)]
    enum ProductShape {
        /// A row or a column.
        Vector,
        /// One sum at a time.
        Tiny,
        /// Sums in stages of a fixed length.
        Small,
        /// Sums in stages of about equal length.
        Wide,
    }

    impl ProductShape {
        fn of([n, m]: [usize; 2]) -> ProductShape {
            match (n.min(m), n * m, n.max(m)) {
                (0..=1, ..) => ProductShape::Vector,
                (_, 0..=256, _) => ProductShape::Tiny,
                (.., 0..=64) => ProductShape::Small,
                _ => ProductShape::Wide,
            }
        }
    }

    /// Number of rows in each band of a product of `[n, m]`; the last band may have fewer. `None` if every cut would
    /// change some sums, or if there is only one thread.
    fn rows_of_band([n, m]: [usize; 2], threads: usize) -> Option<usize> {
        let bands = if n >= threads * MANY { 2 * threads } else { threads };
        let rows = n.div_ceil(bands).next_multiple_of(TILE);
        let last = n - (n.div_ceil(rows) - 1) * rows;
        let kind = ProductShape::of([n, m]);
        let alike = kind != ProductShape::Vector
            && ProductShape::of([rows, m]) == kind
            && ProductShape::of([last, m]) == kind;
        (threads > 1 && rows < n && alike).then_some(rows)
    }

    /// See [`rows_alike`](super::rows_alike).
    pub(super) fn rows_alike(n: usize, [k, m]: [usize; 2]) -> usize {
        let way = |n: usize| (bits::is_worth_it([n, k], m), ProductShape::of([n, m]));
        let whole = way(n);
        // The way changes at a few numbers of rows and never back, so that bisection finds the last change.
        let (mut low, mut high) = (1, n.max(1));
        while low < high {
            let middle = low.midpoint(high);
            if way(middle) == whole { high = middle } else { low = middle + 1 }
        }
        high
    }

    /// Whether both are plain tensors of `flex`, in a type that the kernels support.
    pub(super) fn applies(a: &Tensor<2>, b: &Tensor<2>) -> bool {
        let of_type = a.dtype() == b.dtype() && matches!(a.dtype(), DType::F32 | DType::F64);
        of_type && host::flex::is_plain(&a.device()) && host::flex::is_plain(&b.device())
    }

    /// The product of two matrices, each transposed first if `transposed` says so.
    pub(super) fn multiply(a: Tensor<2>, b: Tensor<2>, transposed: [bool; 2]) -> Tensor<2> {
        for_real!(a.dtype(), T => of_type::<T>(a, b, transposed))
    }

    /// The rows of a sum over rows whose weights are large enough to matter: the others together weigh less than the
    /// rounding of the sum of all weights. `None` if all rows matter.
    fn seen<T: Real>(weights: &[T]) -> Option<Vec<usize>> {
        let n = weights.iter().fold(T::ZERO, |n, _| n + T::ONE);
        let total = weights.iter().fold(T::ZERO, |total, weight| total + weight.abs());
        let least = T::ROUNDING * total / n;
        // A NaN weight is not below any number, so its row is kept.
        let is_lost = |i: usize| weights[i].abs() < least;
        let rows: Vec<usize> = (0..weights.len()).filter(|i| !is_lost(*i)).collect();
        (rows.len() < weights.len()).then_some(rows)
    }

    /// [`weighed_atb`](super::weighed_atb) by tables, if `a` is a matrix of bits and tables are worth building.
    pub(super) fn multiply_bits_weighed(
        a: &Tensor<2>,
        weights: &Tensor<1>,
        b: &Tensor<2>,
    ) -> Option<(Tensor<2>, Tensor<1>)> {
        let ([k, n], [k_b, m], device) = (a.dims(), b.dims(), a.device());
        assert!(
            k == k_b && weights.dims() == [k],
            "matrices of shapes [{k}, {n}] and [{k_b}, {m}] need the same number of rows, and one weight for each row"
        );
        if !applies(a, b) || !bits::is_worth_it([n, k], m) {
            return None;
        }
        for_real!(a.dtype(), T => {
            let (a, b) = (host::read::<T, 2>(a.clone()), host::read::<T, 2>(b.clone()));
            let weights = host::read::<T, 1>(weights.clone());
            let rows = seen(&weights);
            let left = Packed::of(Left { values: &a[..], dims: [n, k], turned: true, terms: rows.as_deref() })?;
            let right = Right { values: &b[..], m, weights: Some(&weights) };
            let (product, sums) = bits::multiply_and_sum(&left, right, true, Instructions::Widest)?;
            Some((host::tensor(product, [n, m], &device), host::tensor(sums, [m], &device)))
        })
    }

    /// The product by tables, if the left side is a matrix of bits and tables are worth building.
    fn multiply_bits<T: Lanes>(left: Left<'_, T>, b: &[T], m: usize, b_turned: bool) -> Option<Vec<T>> {
        let [n, k] = left.dims;
        if !bits::is_worth_it([n, k], m) {
            return None;
        }
        let left = Packed::of(left)?;
        let turned = b_turned.then(|| transposed(b, [m, k]));
        let right = Right { values: turned.as_deref().unwrap_or(b), m, weights: None };
        bits::multiply(&left, right, Instructions::Widest)
    }

    /// The transpose of `[n, m]`, copied in squares that stay in the cache.
    fn transposed<T: Real>(values: &[T], [n, m]: [usize; 2]) -> Vec<T> {
        const SQUARE: usize = 16;
        let mut turned = vec![T::ZERO; n * m];
        turned.par_chunks_mut(SQUARE * n).enumerate().for_each(|(part, turned)| {
            for first in (0..n).step_by(SQUARE) {
                for (j, column) in turned.chunks_exact_mut(n).enumerate() {
                    for (i, value) in column[first..].iter_mut().take(SQUARE).enumerate() {
                        *value = values[(first + i) * m + part * SQUARE + j];
                    }
                }
            }
        });
        turned
    }

    fn of_type<T: Lanes>(a: Tensor<2>, b: Tensor<2>, [a_turned, b_turned]: [bool; 2]) -> Tensor<2> {
        let device = a.device();
        let turned = |[rows, columns]: [usize; 2], turned: bool| {
            if turned { [columns, rows] } else { [rows, columns] }
        };
        let ([n, k], [k_b, m]) = (turned(a.dims(), a_turned), turned(b.dims(), b_turned));
        assert_eq!(k, k_b, "matrices of shapes [{n}, {k}] and [{k_b}, {m}] cannot be multiplied");
        let (a, b) = (host::read::<T, 2>(a), host::read::<T, 2>(b));
        if n * k * m == 0 {
            return host::tensor(vec![T::ZERO; n * m], [n, m], &device);
        }
        let left = Left { values: &a[..], dims: [n, k], turned: a_turned, terms: None };
        if let Some(product) = multiply_bits(left, &b, m, b_turned) {
            return host::tensor(product, [n, m], &device);
        }
        // Strides between columns and between rows.
        let strides = |turned: bool, [rows, columns]: [usize; 2]| {
            if turned { [rows as isize, 1] } else { [1, columns as isize] }
        };
        let ([a_column, a_row], [b_column, b_row]) = (strides(a_turned, [n, k]), strides(b_turned, [k, m]));
        assert!(
            a.len() == n * k && b.len() == k * m,
            "the number of values of an operand differs from its shape"
        );
        let mut product = Vec::with_capacity(n * m);
        // Computes the rows from `first` on, as many as `band` has.
        let multiply = |first: usize, band: &mut [MaybeUninit<T>], parallelism: gemm::Parallelism| {
            let rows = band.len() / m;
            assert!(rows * m == band.len() && first + rows <= n, "a band must be whole rows of the product");
            // SAFETY: with these strides every element of the operands is within their slices, whose lengths were just
            // checked, and every element of the result is within the band. The result is not read (`read_dst` is
            // false).
            unsafe {
                gemm::gemm(
                    rows,
                    m,
                    k,
                    band.as_mut_ptr().cast(),
                    1,
                    m as isize,
                    false,
                    a.as_ptr().offset(first as isize * a_row),
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
            }
        };
        let space = &mut product.spare_capacity_mut()[..n * m];
        if n.saturating_mul(k).saturating_mul(m) < SEQUENTIAL {
            multiply(0, space, gemm::Parallelism::None);
        } else if let Some(rows) = rows_of_band([n, m], rayon::current_num_threads()) {
            let bands = space.par_chunks_mut(rows * m).with_max_len(1).enumerate();
            bands.for_each(|(i, band)| multiply(i * rows, band, gemm::Parallelism::None));
        } else {
            multiply(0, space, gemm::Parallelism::Rayon(0));
        }
        // SAFETY: the bands cover all n m elements, and each of them was written.
        unsafe { product.set_len(n * m) };
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
            // Threads share the last six: in bands or, if bands would have too few rows, as Burn does it.
            for [n, k, m] in [
                [1, 1, 1],
                [7, 13, 10],
                [50, 1, 3],
                [300, 200, 50],
                [5, 40, 1],
                [100, 784, 200],
                [201, 1000, 200],
                [997, 100, 301],
                [61, 2000, 61],
                [2, 9000, 400],
                [9000, 800, 1],
            ] {
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
    #[cfg(feature = "flex")]
    fn rows_are_the_same_to_the_bit_in_any_number_from_the_fewest_alike() {
        for [n, k, m] in
            [[100, 784, 100], [100, 100, 784], [100, 60, 90], [300, 20, 50], [40, 9, 6], [9, 3, 1]]
        {
            let fewest = rows_alike(n, [k, m], &Device::flex());
            assert!((1..=n).contains(&fewest));
            let bits = matrix(n, k, 37, DType::F32).greater_elem(0.0).float();
            let b = matrix(k, m, 53, DType::F32);
            let whole = ab(bits.clone(), b.clone());
            for r in [fewest, (fewest + n) / 2] {
                let part = ab(bits.clone().slice(n - r..n), b.clone());
                assert_eq!(
                    part.into_data(),
                    whole.clone().slice(n - r..n).into_data(),
                    "{r} of [{n}, {k}, {m}]"
                );
            }
        }
        // Tables of sums need 64 rows, and 2^19 multiplications.
        assert_eq!(rows_alike(100, [784, 500], &Device::flex()), 64);
        assert_eq!(rows_alike(100, [60, 90], &Device::flex()), 98);
    }

    #[test]
    #[cfg(feature = "flex")]
    fn products_do_not_depend_on_the_number_of_threads() {
        let (a, b) = (matrix(997, 1100, 37, DType::F32), matrix(1100, 301, 53, DType::F32));
        let product = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| ab(a.clone(), b.clone()).into_data())
        };
        let one = product(1);
        for threads in [2, 3, 7, 64] {
            assert_eq!(product(threads), one, "{threads} threads");
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
