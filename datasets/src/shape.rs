//! How a row is laid out as an image.

/// Rows and columns of pixels, row-major from the top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl ImageShape {
    /// A square if `width` values fill one, else a single row of pixels.
    pub const fn of_width(width: usize) -> Self {
        let side = width.isqrt();
        if side * side == width {
            ImageShape { height: side, width: side }
        } else {
            ImageShape { height: 1, width }
        }
    }

    /// Number of pixels.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_square_widths_become_squares() {
        assert_eq!(ImageShape::of_width(784), ImageShape { height: 28, width: 28 });
        assert_eq!(ImageShape::of_width(123), ImageShape { height: 1, width: 123 });
    }
}
