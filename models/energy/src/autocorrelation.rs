//! Integrated autocorrelation times of block Gibbs sampling, by the fundamental matrix of its transitions.
//!
//! For a function f of the visible units of a chain that has the law π of the machine, with `f̃ = f - E_π f`,
//!
//! ```text
//! C(t) = E_π f̃(v_0) f̃(v_t) = ⟨f̃, Tᵗ f̃⟩_π        τ_f = 1 + 2 Σ_{t ≥ 1} C(t) / C(0)
//! ```
//!
//! so that n states of a chain estimate `E_π f` as well as n / τ independent draws; τ = 1 for independent draws. All of
//! these times are at least 1, and none is above that of the slowest function, `(1 + λ) / (1 - λ)`, where λ is the
//! largest eigenvalue of T below 1.
//!
//! With `M(v, h) = p(v, h) / √(p(v) p(h))`, T has the eigenvalues of the symmetric matrix `M Mᵀ`, and of `S = Mᵀ M`
//! apart from zeros. The smaller of the two is taken. Its eigenvector for 1 is `q = √p`, and the sum over t is a system
//! of equations with the matrix `I - S + q qᵀ`, which is positive definite: the inverse is the fundamental matrix.
//!
//! # Reference
//! Kemeny, Snell, "Finite Markov chains", 1960, chapter 4.
//! Sokal, "Monte Carlo methods in statistical mechanics: foundations and new algorithms", 1997, section 2.

/// The fundamental matrix of a chain in its law, which gives the autocorrelation time of any function of its states.
#[derive(Clone, Debug)]
pub struct Fundamental {
    /// The values of all states of the visible units, row by row: `[states, d]`.
    states: Vec<f64>,
    /// π, the law of the chain: `[states]`.
    law: Vec<f64>,
    /// M, row by row: `[states, 2^m]`. Not set if the matrix is that of the visible states.
    to_hidden: Option<Vec<f64>>,
    /// q, the square roots of the law on the smaller side.
    root: Vec<f64>,
    /// L of `L Lᵀ = I - S + q qᵀ`, row by row.
    factor: Vec<f64>,
}

impl Fundamental {
    /// From the values of the states of v, `[states, d]`, `p(h | v)`, `[states, 2^m]`, `p(v | h)`, `[2^m, states]`, and the
    /// law of v.
    pub(crate) fn of(states: &[f64], [a, b]: [&[f64]; 2], law: &[f64]) -> Option<Self> {
        let (of_v, of_h) = (law.len(), a.len() / law.len());
        // p(v, h)² / (p(v) p(h)) = p(h | v) p(v | h): no quotient of small numbers.
        let cell = |v: usize, h: usize| (a[v * of_h + h] * b[h * of_v + v]).sqrt();
        let matrix: Vec<f64> =
            (0..of_v).flat_map(|v| (0..of_h).map(move |h| (v, h))).map(|(v, h)| cell(v, h)).collect();
        let (root, columns, to_hidden) = if of_h <= of_v {
            let mass = |h: usize| (0..of_v).map(|v| law[v] * a[v * of_h + h]).sum::<f64>();
            ((0..of_h).map(mass).map(f64::sqrt).collect::<Vec<_>>(), transposed(&matrix, of_h), Some(matrix))
        } else {
            (law.iter().map(|p| p.sqrt()).collect(), matrix, None)
        };
        // The matrix of the smaller side, from its rows: S or M Mᵀ.
        let n = root.len();
        let rows: Vec<&[f64]> = columns.chunks_exact(columns.len() / n).collect();
        let mut system = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let own = if i == j { 1.0 } else { 0.0 };
                system[i * n + j] = own - dot(rows[i], rows[j]) + root[i] * root[j];
            }
        }
        let factor = cholesky(system, n)?;
        Some(Fundamental { states: states.to_vec(), law: law.to_vec(), to_hidden, root, factor })
    }

    /// τ of a function of the visible units with the values `f`, `[states]`. `None` if it is constant.
    ///
    /// # Panics
    /// If there is not one value for each state.
    pub fn time(&self, f: &[f64]) -> Option<f64> {
        let [sum, variance] = self.sums(f);
        (variance > 0.0).then(|| 1.0 + 2.0 * sum / variance)
    }

    /// τ of the visible units as a vector, whose autocovariance is the sum of those of the units: the mean of the times of
    /// the units, weighted by their variances. `None` if all units are constant.
    pub fn time_of_units(&self) -> Option<f64> {
        let d = self.states.len() / self.law.len();
        let unit = |i: usize| -> Vec<f64> { self.states.iter().skip(i).step_by(d).copied().collect() };
        let sums = (0..d).map(|i| self.sums(&unit(i)));
        let [sum, variance] = sums.fold([0.0; 2], |[a, b], [sum, variance]| [a + sum, b + variance]);
        (variance > 0.0).then(|| 1.0 + 2.0 * sum / variance)
    }

    /// τ of the slowest function, by power iteration to ten digits. `None` if the iteration does not settle.
    pub fn slowest(&self) -> Option<f64> {
        // The inverse less one has the eigenvalues λ / (1 - λ), and 0 for q: they are as far apart as those of S where
        // all are small, and farther where the largest is near 1.
        let n = self.root.len();
        // Any start that no symmetry makes orthogonal to the slowest function: multiples of the golden ratio.
        let mut x: Vec<f64> = (1..=n).map(|i| (i as f64 * 0.618_033_988_749_895).fract() - 0.5).collect();
        let mut time = f64::INFINITY;
        for _ in 0..10_000 {
            let along = dot(&x, &self.root);
            x.iter_mut().zip(&self.root).for_each(|(x, q)| *x -= along * q);
            let length = dot(&x, &x).sqrt();
            if length == 0.0 {
                // All eigenvalues below 1 are zero.
                return Some(1.0);
            }
            x.iter_mut().for_each(|x| *x /= length);
            let onwards: Vec<f64> = self.solved(&x).iter().zip(&x).map(|(solved, x)| solved - x).collect();
            let next = 1.0 + 2.0 * dot(&x, &onwards);
            if (next - time).abs() <= 1e-10 * next {
                return Some(next);
            }
            (x, time) = (onwards, next);
        }
        None
    }

    /// `Σ_{t ≥ 1} C(t)` and `C(0)` of a function.
    fn sums(&self, f: &[f64]) -> [f64; 2] {
        assert_eq!(f.len(), self.law.len(), "a function of the states has a value for each");
        let mean = dot(f, &self.law);
        let own: Vec<f64> = f.iter().zip(&self.law).map(|(f, p)| (f - mean) * p.sqrt()).collect();
        let variance = dot(&own, &own);
        // On the hidden side, C(t) = ⟨g, S^(t-1) g⟩ with g = Mᵀ f̃.
        let (g, first) = match &self.to_hidden {
            None => (own, variance),
            Some(matrix) => {
                let n = self.root.len();
                let mut g = vec![0.0; n];
                for (value, row) in own.iter().zip(matrix.chunks_exact(n)) {
                    g.iter_mut().zip(row).for_each(|(g, cell)| *g += value * cell);
                }
                (g, 0.0)
            }
        };
        [dot(&g, &self.solved(&g)) - first, variance]
    }

    /// The solution of `(I - S + q qᵀ) x = y`.
    fn solved(&self, y: &[f64]) -> Vec<f64> {
        let (n, l) = (y.len(), &self.factor);
        let mut x = y.to_vec();
        for i in 0..n {
            let known = dot(&l[i * n..][..i], &x[..i]);
            x[i] = (x[i] - known) / l[i * n + i];
        }
        for i in (0..n).rev() {
            x[i] /= l[i * n + i];
            let value = x[i];
            x[..i].iter_mut().zip(&l[i * n..][..i]).for_each(|(x, l)| *x -= value * l);
        }
        x
    }
}

/// The lower factor of a symmetric matrix whose lower half is given, or `None` if it is not positive definite.
fn cholesky(mut matrix: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    for i in 0..n {
        let (before, row) = matrix.split_at_mut(i * n);
        for j in 0..i {
            let other = &before[j * n..][..=j];
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let left = row[i] - dot(&row[..i], &row[..i]);
        // Rounding errors of a sum of n products.
        if left <= n as f64 * f64::EPSILON {
            return None;
        }
        row[i] = left.sqrt();
    }
    Some(matrix)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The columns of a matrix as rows.
fn transposed(matrix: &[f64], width: usize) -> Vec<f64> {
    (0..width).flat_map(|column| matrix.iter().skip(column).step_by(width).copied()).collect()
}
