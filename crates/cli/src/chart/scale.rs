//! The scale of an axis.

/// A scale of an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// The values as they are.
    Linear,
    /// Powers of two at the ticks.
    Log2,
    /// Powers of ten at the ticks.
    Log10,
}

impl Scale {
    /// The place of a value along the axis.
    pub(super) fn to(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log2 => value.log2(),
            Scale::Log10 => value.log10(),
        }
    }

    /// The value at a place.
    pub(super) fn back(self, place: f64) -> f64 {
        match self {
            Scale::Linear => place,
            Scale::Log2 => place.exp2(),
            Scale::Log10 => 10f64.powf(place),
        }
    }
}
