//! Types of visible units, and the laws of a layer of them given the hidden units.
//!
//! | units | values | own energy | given the field f = Wh |
//! | --- | --- | --- | --- |
//! | [`Bernoulli`](Units::Bernoulli) | 0, 1 | `-a v` | `p(v = 1) = σ(a + f)` |
//! | [`Softmax`](Units::Softmax) | one of K columns is 1, the others 0 | `-a·v` | `p(column k is 1) ∝ exp(a_k + f_k)` |
//! | [`Gaussian`](Units::Gaussian) | real | `(v - a)² / 2s²` | `N(a + f, s²)` |
//! | [`Rectified`](Units::Rectified) | `v >= 0` | `(v - a)² / 2s²` | `N(a + f, s²)` given that `v >= 0` |
//!
//! Real units enter the connections as `v / s²`: `E = ... - Σᵢⱼ vᵢ / sᵢ² Wᵢⱼ hⱼ`. Other texts and programs divide by s.
//! The square in the own energy of rectified units is what makes their law one that can be normalised, whatever W.
//!
//! Each law is one of an exponential family, `log f(v) = n·v - ½ p·v²` on the values that v can take: n is `a + f` for
//! bits and categories, `(a + f) / s²` for real units, whose p is `1 / s²`.
//!
//! # Reference
//! Welling, Rosen-Zvi, Hinton, "Exponential family harmoniums with an application to information retrieval", 2004.

use std::f64::consts::TAU;
use std::ops::Range;

use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::Draws;
use helmholtz_noise::Stream;
use helmholtz_ops::{bernoulli, into_f64, noise};
use thiserror::Error;

use crate::rectified;

/// A type of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Bits.
    Bernoulli,
    /// Sites with one of K categories; each site has K columns, of which one is 1.
    Softmax {
        /// K, at least 2.
        categories: usize,
    },
    /// Real numbers.
    Gaussian,
    /// Real numbers that are not negative.
    Rectified,
}

impl Units {
    fn is_real(self) -> bool {
        matches!(self, Units::Gaussian | Units::Rectified)
    }
}

/// Columns side by side with units of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The type.
    pub units: Units,
    /// The number of columns; K for each site of softmax units.
    pub columns: usize,
}

/// Why blocks make no layer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LayerError {
    /// No columns.
    #[error("the data have no columns; a machine needs at least one visible unit")]
    Empty,
    /// Fewer than two categories.
    #[error("a unit with {0} categories says nothing; there must be at least 2")]
    Categories(usize),
    /// Columns that are not whole sites.
    #[error("{columns} columns are not a whole number of units with {categories} categories each")]
    Columns {
        /// Columns of the block.
        columns: usize,
        /// K.
        categories: usize,
    },
}

/// The types of all visible units, block by block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    blocks: Vec<Block>,
}

/// The parameters of units that are independent: `log f(v) = n·v - ½ p·v²`.
#[derive(Clone, Debug)]
pub(crate) struct Natural {
    /// n: `[rows, d]`.
    pub(crate) linear: Tensor<2>,
    /// p: `[rows, d]` or `[1, d]`, which counts in the columns of real units; not set without any.
    pub(crate) precision: Option<Tensor<2>>,
}

/// Natural parameters of the columns of a block.
struct Part {
    units: Units,
    linear: Tensor<2>,
    precision: Option<Tensor<2>>,
}

impl Layer {
    /// A layer of one type.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn of(units: Units, columns: usize) -> Result<Self, LayerError> {
        Layer::new(vec![Block { units, columns }])
    }

    /// A layer of blocks.
    ///
    /// # Errors
    /// If there are no columns, a softmax unit has fewer than two categories, or columns are not whole units.
    pub fn new(blocks: Vec<Block>) -> Result<Self, LayerError> {
        if blocks.is_empty() || blocks.iter().any(|block| block.columns == 0) {
            return Err(LayerError::Empty);
        }
        for block in &blocks {
            if let Units::Softmax { categories } = block.units {
                if categories < 2 {
                    return Err(LayerError::Categories(categories));
                }
                if !block.columns.is_multiple_of(categories) {
                    return Err(LayerError::Columns { columns: block.columns, categories });
                }
            }
        }
        Ok(Layer { blocks })
    }

    /// d, the number of columns.
    pub fn columns(&self) -> usize {
        self.blocks.iter().map(|block| block.columns).sum()
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Whether all units are bits.
    pub fn is_bits(&self) -> bool {
        self.blocks.iter().all(|block| block.units == Units::Bernoulli)
    }

    /// Whether some units are real.
    pub fn has_real(&self) -> bool {
        self.blocks.iter().any(|block| block.units.is_real())
    }

    /// Whether a row is one of values that the units can take.
    pub fn supports(&self, row: &[f32]) -> bool {
        row.len() == self.columns()
            && self.ranges().all(|(units, columns)| {
                let values = &row[columns];
                match units {
                    Units::Bernoulli => values.iter().all(|v| *v == 0.0 || *v == 1.0),
                    Units::Gaussian => values.iter().all(|v| v.is_finite()),
                    Units::Rectified => values.iter().all(|v| v.is_finite() && *v >= 0.0),
                    Units::Softmax { categories } => values.chunks(categories).all(|site| {
                        site.iter().all(|v| *v == 0.0 || *v == 1.0) && site.iter().sum::<f32>() == 1.0
                    }),
                }
            })
    }

    /// log of the number of states, if it is finite.
    pub(crate) fn log2_states(&self) -> Option<f64> {
        self.blocks
            .iter()
            .map(|block| match block.units {
                Units::Bernoulli => Some(block.columns as f64),
                Units::Softmax { categories } => {
                    Some((block.columns / categories) as f64 * (categories as f64).log2())
                }
                Units::Gaussian | Units::Rectified => None,
            })
            .sum()
    }

    /// All states of units with finitely many, `[states, d]`, the first unit changing fastest. Bit i of the number of a
    /// state of bits is unit i.
    pub(crate) fn states(&self, dtype: DType, device: &Device) -> Tensor<2> {
        let radices: Vec<usize> = self
            .blocks
            .iter()
            .flat_map(|block| match block.units {
                Units::Bernoulli => vec![1; block.columns],
                Units::Softmax { categories } => vec![categories; block.columns / categories],
                Units::Gaussian | Units::Rectified => panic!("real units have no finite number of states"),
            })
            .collect();
        // A bit has one column and two states.
        let n: usize = radices.iter().map(|radix| (*radix).max(2)).product();
        let mut values = Vec::with_capacity(n * self.columns());
        for state in 0..n {
            let mut rest = state;
            for &radix in &radices {
                let digit = rest % radix.max(2);
                rest /= radix.max(2);
                if radix == 1 {
                    values.push(digit as f64);
                } else {
                    values.extend((0..radix).map(|k| f64::from(u8::from(k == digit))));
                }
            }
        }
        Tensor::from_data(TensorData::new(values, [n, self.columns()]), (device, dtype))
    }

    /// 1 in the columns of real units and 0 elsewhere: `[d]`.
    pub(crate) fn real_columns(&self, dtype: DType, device: &Device) -> Tensor<1> {
        let of_block = |block: &Block| vec![f64::from(u8::from(block.units.is_real())); block.columns];
        let values: Vec<f64> = self.blocks.iter().flat_map(of_block).collect();
        Tensor::from_data(values.as_slice(), (device, dtype))
    }

    /// Types with their columns.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (Units, Range<usize>)> {
        self.blocks.iter().scan(0, |first, block| {
            let columns = *first..*first + block.columns;
            *first = columns.end;
            Some((block.units, columns))
        })
    }

    fn parts(&self, law: &Natural) -> impl Iterator<Item = Part> {
        self.ranges().map(|(units, columns)| Part {
            units,
            linear: law.linear.clone().narrow(1, columns.start, columns.len()),
            precision: law.precision.clone().map(|p| p.narrow(1, columns.start, columns.len())),
        })
    }

    /// `log Σ f(v)` or `log ∫ f(v) dv` of each row: `[rows]`.
    pub(crate) fn log_normalizer(&self, law: &Natural) -> Tensor<1> {
        self.parts(law)
            .map(|part| part.log_normalizer())
            .reduce(|sum, more| sum + more)
            .expect("there is a block")
    }

    /// `E[v]`: `[rows, d]`.
    pub(crate) fn means(&self, law: &Natural) -> Tensor<2> {
        Tensor::cat(self.parts(law).map(|part| part.means()).collect(), 1)
    }

    /// `E[v²]`: `[rows, d]`.
    pub(crate) fn mean_squares(&self, law: &Natural) -> Tensor<2> {
        Tensor::cat(self.parts(law).map(|part| part.mean_squares()).collect(), 1)
    }

    /// v of each row: `[rows, d]`.
    pub(crate) fn sample(&self, law: &Natural, draws: &Draws) -> Tensor<2> {
        Tensor::cat(self.parts(law).zip(0usize..).map(|(part, i)| part.sample(&draws.child(i))).collect(), 1)
    }

    /// Values that depend on no parameter: fair coins, categories that are all as likely, standard normal numbers and
    /// their absolute values.
    pub(crate) fn noise(&self, draws: &Draws, dtype: DType, device: &Device) -> Tensor<2> {
        let zeros = Tensor::zeros([draws.len(), self.columns()], (device, dtype));
        let ones = Tensor::ones([1, self.columns()], (device, dtype));
        self.sample(&Natural { linear: zeros, precision: Some(ones) }, draws)
    }
}

impl Part {
    /// p, which is set in the parts of real units.
    fn precision(&self) -> Tensor<2> {
        self.precision.clone().expect("real units have a precision")
    }

    /// n / √p, with which `f(v) ∝ N(v; n / p, 1 / p)`.
    fn z(&self) -> Tensor<2> {
        self.linear.clone() / self.precision().sqrt()
    }

    /// The logits of sites as rows: `[rows * sites, K]`.
    fn sites(&self, categories: usize) -> Tensor<2> {
        let [rows, columns] = self.linear.dims();
        self.linear.clone().reshape([rows * columns / categories, categories])
    }

    fn log_normalizer(&self) -> Tensor<1> {
        let rows = self.linear.dims()[0];
        let sum = |each: Tensor<2>| each.sum_dim(1).squeeze_dim::<1>(1);
        match self.units {
            Units::Bernoulli => {
                let off = self.linear.zeros_like();
                -bernoulli::log_prob(off, self.linear.clone())
            }
            Units::Softmax { categories } => {
                let logits = self.sites(categories);
                let max = logits.clone().max_dim(1);
                let of_site = (logits - max.clone()).exp().sum_dim(1).log() + max;
                sum(of_site.reshape([rows as i32, -1]))
            }
            Units::Gaussian => sum(self.log_normal()),
            Units::Rectified => sum(self.log_normal() + each(self.z(), rectified::log_mass)),
        }
    }

    /// `n² / 2p + ½ log(2π / p)`.
    fn log_normal(&self) -> Tensor<2> {
        (self.z().square() - self.precision().log() + TAU.ln()) * 0.5
    }

    fn means(&self) -> Tensor<2> {
        match self.units {
            Units::Bernoulli => burn::tensor::activation::sigmoid(self.linear.clone()),
            Units::Softmax { categories } => softmax(self.sites(categories), 1).reshape(self.linear.dims()),
            Units::Gaussian => self.linear.clone() / self.precision(),
            Units::Rectified => each(self.z(), rectified::mean) / self.precision().sqrt(),
        }
    }

    fn mean_squares(&self) -> Tensor<2> {
        let means = self.means();
        match self.units {
            Units::Bernoulli | Units::Softmax { .. } => means,
            Units::Gaussian => means.square() + self.precision().recip(),
            Units::Rectified => (self.linear.clone() * means + 1.0) / self.precision(),
        }
    }

    fn sample(&self, draws: &Draws) -> Tensor<2> {
        let ([rows, columns], dtype, device) =
            (self.linear.dims(), self.linear.dtype(), self.linear.device());
        match self.units {
            Units::Bernoulli => {
                let no_bias = Tensor::zeros([columns], (&device, dtype));
                bernoulli::sample(self.linear.clone(), no_bias, draws).0
            }
            Units::Softmax { categories } => {
                // The largest of logits with Gumbel noise has the law of the softmax.
                let uniform = noise::uniform(draws, columns, dtype, &device).clamp_min(1e-30);
                let gumbel = -(-uniform.log()).log();
                let noisy =
                    self.sites(categories) + gumbel.reshape([rows * columns / categories, categories]);
                let largest = noisy.argmax(1);
                let numbers = Tensor::<1, burn::tensor::Int>::arange(0..categories as i64, &device);
                let chosen = largest.equal(numbers.unsqueeze()).float().cast(dtype);
                chosen.reshape([rows, columns])
            }
            Units::Gaussian => {
                let normal = noise::normal(draws, columns, dtype, &device);
                (self.z() + normal) / self.precision().sqrt()
            }
            Units::Rectified => {
                let z = into_f64(self.z());
                let values: Vec<f64> = z
                    .chunks(columns)
                    .enumerate()
                    .flat_map(|(i, z)| {
                        let (row, sample) = draws.cell(i);
                        let mut stream = Stream::new(draws.key().child(row).child(u64::from(sample)));
                        z.iter().map(move |z| rectified::draw(*z, &mut stream))
                    })
                    .collect();
                let values = Tensor::from_data(TensorData::new(values, [rows, columns]), (&device, dtype));
                values / self.precision().sqrt()
            }
        }
    }
}

/// A function of each value, in double precision.
fn each(values: Tensor<2>, f: fn(f64) -> f64) -> Tensor<2> {
    let (shape, like) = (values.dims(), (&values.device(), values.dtype()));
    let found: Vec<f64> = into_f64(values).into_iter().map(f).collect();
    Tensor::from_data(TensorData::new(found, shape), like)
}
