//! The transitions of block Gibbs sampling between all states of the visible units, for machines of a few units.

use burn::tensor::{Tensor, s};
use helmholtz_core::{Trainable, enumerate_bits};
use helmholtz_ops::{bernoulli, product};

use crate::Rbm;

/// The largest number of visible and of hidden units for which laws of chains are computed.
pub const MOST_UNITS: [usize; 2] = [12, 10];

impl Rbm {
    /// All states of the visible units: `[2^d, d]`. Bit i of the number of a state is unit i.
    pub fn visible_states(&self) -> Tensor<2> {
        self.states_of(self.observed())
    }

    /// The law of v after each of chains that begin with a law has made `sweeps` sweeps of block Gibbs sampling:
    /// `law Tᵏ`.
    ///
    /// # Shapes
    /// - `law`: `[2^d]`, and the same for the result, in the order of [`visible_states`](Self::visible_states)
    ///
    /// # Panics
    /// If there are more units than [`MOST_UNITS`].
    pub fn law_after(&self, law: Tensor<1>, sweeps: usize) -> Tensor<1> {
        let sizes = [self.observed(), self.n_hidden()];
        assert!(
            sizes[0] <= MOST_UNITS[0] && sizes[1] <= MOST_UNITS[1],
            "the transitions between the states of {sizes:?} units are not computed"
        );
        let (v, h) = (self.visible_states(), self.states_of(sizes[1]));
        let (weight, visible, hidden) = (self.weight.val(), self.visible.val(), self.hidden.val());
        let conditional = |of: &Tensor<2>, product: Tensor<2>, bias: Tensor<1>| {
            let n = product.dims()[0];
            let rows = (0..n).map(|row| {
                let logits = product.clone().slice(s![row..row + 1, ..]);
                bernoulli::constant_log_prob(of.clone(), logits.repeat_dim(0, of.dims()[0]), bias.clone())
            });
            Tensor::stack::<2>(rows.collect(), 0).exp()
        };
        let to_hidden = conditional(&h, product::ab(v.clone(), weight.clone()), hidden);
        let to_visible = conditional(&v, product::abt(h.clone(), weight), visible);
        let law = law.unsqueeze::<2>();
        let after = (0..sweeps).fold(law, |law, _| law.matmul(to_hidden.clone()).matmul(to_visible.clone()));
        after.squeeze_dim::<1>(0)
    }

    fn states_of(&self, units: usize) -> Tensor<2> {
        enumerate_bits(units, 0, 1 << units, self.dtype(), &self.device())
    }
}
