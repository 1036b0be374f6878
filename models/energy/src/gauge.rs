//! Other parameters for the same law.
//!
//! Many parameters give the same `p(v)`. Programs differ in which of them they store, so that weights can be compared only
//! in one gauge.
//!
//! | gauge | change | log Z |
//! | --- | --- | --- |
//! | [spins](Rbm::spins) | bits 0, 1 become -1, 1: `W/4`, `a/2 + (Σⱼ Wᵢⱼ)/4`, `b/2 + (Σᵢ Wᵢⱼ)/4` | less by `½ Σ a + ½ Σ b + ¼ Σ W` |
//! | [zero sum](Rbm::in_zero_sum_gauge) | the connections of the categories of a site to a hidden unit sum to 0, and its biases do | less by the means that the biases lose |
//!
//! # Reference
//! Cocco, Monasson, Weigt, "From principal component to direct coupling analysis of coevolution in proteins", PLoS
//! Computational Biology 9, 2013, for the zero-sum gauge.

use burn::module::Param;
use burn::tensor::Tensor;
use helmholtz_core::Trainable;

use crate::Rbm;
use crate::units::Units;

/// The parameters of a machine of bits whose units are -1 and 1.
#[derive(Clone, Debug)]
pub struct Spins {
    /// The connections: `[d, m]`.
    pub weight: Tensor<2>,
    /// The fields of the visible units: `[d]`.
    pub visible: Tensor<1>,
    /// The fields of the hidden units: `[m]`.
    pub hidden: Tensor<1>,
}

impl Rbm {
    /// The parameters for units that are -1 and 1 in the places of 0 and 1; not set unless all visible units are bits.
    pub fn spins(&self) -> Option<Spins> {
        if !self.layer().is_bits() {
            return None;
        }
        let quarter = self.weight.val() * 0.25;
        Some(Spins {
            visible: self.visible.val() * 0.5 + quarter.clone().sum_dim(1).squeeze_dim::<1>(1),
            hidden: self.hidden.val() * 0.5 + quarter.clone().sum_dim(0).squeeze_dim::<1>(0),
            weight: quarter,
        })
    }

    /// The machine with the same law in which, for each site of softmax units, the connections to a hidden unit sum to zero
    /// and so do the biases. Other units keep their parameters; hidden biases take up what the connections lose.
    pub fn in_zero_sum_gauge(mut self) -> Self {
        let (weight, visible) = (self.weight.val(), self.visible.val());
        let (mut of_weight, mut of_visible) = (Vec::new(), Vec::new());
        for (units, columns) in self.layer().ranges() {
            let m = self.n_hidden();
            let weight = weight.clone().narrow(0, columns.start, columns.len());
            let visible = visible.clone().narrow(0, columns.start, columns.len());
            let Units::Softmax { categories } = units else {
                of_weight.push(weight.zeros_like());
                of_visible.push(visible.zeros_like());
                continue;
            };
            let sites = columns.len() / categories;
            let means = weight.reshape([sites, categories, m]).mean_dim(1);
            of_weight.push(means.repeat_dim(1, categories).reshape([columns.len(), m]));
            let means = visible.reshape([sites, categories]).mean_dim(1);
            of_visible.push(means.repeat_dim(1, categories).reshape([columns.len()]));
        }
        let (of_weight, of_visible) = (Tensor::cat(of_weight, 0), Tensor::cat(of_visible, 0));
        // One category of each site is 1, so that each site gives a hidden unit its mean connection.
        let per_column: Vec<f64> = self
            .layer()
            .ranges()
            .flat_map(|(units, columns)| {
                let share =
                    if let Units::Softmax { categories } = units { 1.0 / categories as f64 } else { 0.0 };
                vec![share; columns.len()]
            })
            .collect();
        let per_column = Tensor::<1>::from_data(per_column.as_slice(), (&self.device(), self.dtype()));
        let given_up = (of_weight.clone() * per_column.unsqueeze_dim::<2>(1)).sum_dim(0).squeeze_dim::<1>(0);
        let hidden = self.hidden.val() + given_up;
        self.weight = Param::initialized(self.weight.id, weight - of_weight);
        self.visible = Param::initialized(self.visible.id, visible - of_visible);
        self.hidden = Param::initialized(self.hidden.id, hidden);
        self
    }
}
