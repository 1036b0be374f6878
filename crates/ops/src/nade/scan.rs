//! What a scan takes and gives.

use burn::tensor::Tensor;

use crate::order::UnitOrder;

/// The recurrent part of a NADE: what it shares between units.
#[derive(Clone, Debug)]
pub struct Scan {
    /// `W`, row `i` what unit `i` adds to the hidden units: `[d, H]`.
    pub encoder: Tensor<2>,
    /// `V`, row `i` how unit `i` reads the hidden units: `[d, H]`.
    pub decoder: Tensor<2>,
    /// The order of the units.
    pub order: UnitOrder,
}

/// The gradient of a loss in what a scan takes.
#[derive(Clone, Debug)]
pub struct ScanGradient {
    /// In `W`: `[d, H]`.
    pub encoder: Tensor<2>,
    /// In `V`: `[d, H]`.
    pub decoder: Tensor<2>,
    /// In the starts: as many rows as there are.
    pub start: Tensor<2>,
}
