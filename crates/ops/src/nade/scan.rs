//! The inputs and the gradient of a scan.

use burn::tensor::Tensor;

use crate::order::UnitOrder;

/// The recurrent part of a NADE, which its units share.
#[derive(Clone, Debug)]
pub struct Scan {
    /// `W`: row `i` is what unit `i` adds to the hidden units, `[d, H]`.
    pub encoder: Tensor<2>,
    /// `V`: row `i` is how unit `i` reads the hidden units, `[d, H]`.
    pub decoder: Tensor<2>,
    /// The order of the units.
    pub order: UnitOrder,
}

/// The gradient of a loss with respect to the inputs of a scan.
#[derive(Clone, Debug)]
pub struct ScanGradient {
    /// With respect to `W`: `[d, H]`.
    pub encoder: Tensor<2>,
    /// With respect to `V`: `[d, H]`.
    pub decoder: Tensor<2>,
    /// With respect to the starts: as many rows as there are starts.
    pub start: Tensor<2>,
}
