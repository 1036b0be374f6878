//! The transitions of block Gibbs sampling between all states of the visible units, for machines of a few units.

use burn::tensor::{Tensor, s};
use helmholtz_core::{Trainable, enumerate_bits};
use helmholtz_ops::{bernoulli, product};

use crate::Rbm;

/// The largest number of visible and of hidden units for which laws of chains are computed.
pub const MOST_UNITS: [usize; 2] = [12, 10];

impl Rbm {
    /// All states of the visible units, the first unit changing fastest: `[states, d]`. Bit i of the number of a state
    /// of bits is unit i.
    ///
    /// # Panics
    /// If some of them are real.
    pub fn visible_states(&self) -> Tensor<2> {
        self.layer().states(self.dtype(), &self.device())
    }

    /// Whether laws of its chains are computed: the states of its units are few.
    pub fn has_few_states(&self) -> bool {
        let visible = self.layer().log2_states().unwrap_or(f64::INFINITY);
        visible <= MOST_UNITS[0] as f64 && self.n_hidden() <= MOST_UNITS[1]
    }

    /// The law of v after each of chains that begin with a law has made `sweeps` sweeps of block Gibbs sampling:
    /// `law Tᵏ`.
    ///
    /// # Shapes
    /// - `law`: `[states]`, and the same for the result, in the order of [`visible_states`](Self::visible_states)
    ///
    /// # Panics
    /// If there are more units than [`MOST_UNITS`], categories counting as `log2 K` units, or some are real.
    pub fn law_after(&self, law: Tensor<1>, sweeps: usize) -> Tensor<1> {
        let sizes = [self.observed(), self.n_hidden()];
        assert!(
            self.has_few_states(),
            "the transitions between the states of {sizes:?} units are not computed"
        );
        let (v, h) = (self.visible_states(), self.states_of(sizes[1]));
        let fields = product::ab(self.seen(v.clone()), self.weight.val());
        let rows = (0..v.dims()[0]).map(|row| {
            let logits = fields.clone().slice(s![row..row + 1, ..]).repeat_dim(0, h.dims()[0]);
            bernoulli::constant_log_prob(h.clone(), logits, self.hidden.val())
        });
        let to_hidden = Tensor::stack::<2>(rows.collect(), 0).exp();
        let given = self.given_field(product::abt(h, self.weight.val()));
        let log_normalizer = self.layer().log_normalizer(&given).unsqueeze_dim::<2>(1);
        let to_visible = (product::abt(given.linear, v) - log_normalizer).exp();
        let law = law.unsqueeze::<2>();
        let after = (0..sweeps).fold(law, |law, _| law.matmul(to_hidden.clone()).matmul(to_visible.clone()));
        after.squeeze_dim::<1>(0)
    }

    fn states_of(&self, units: usize) -> Tensor<2> {
        enumerate_bits(units, 0, 1 << units, self.dtype(), &self.device())
    }
}
