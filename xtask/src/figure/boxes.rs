//! Box plots as SVG.

use plotters::prelude::*;

/// The quantiles of a sample that a box shows: 2.5, 25, 50, 75 and 97.5 per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantiles(pub(crate) [f64; 5]);

impl Quantiles {
    /// The quantiles of a sample that is not empty, by linear interpolation between neighbours.
    pub(crate) fn of(sample: &[f64]) -> Self {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (sorted.len() - 1) as f64;
            let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        Quantiles([0.025, 0.25, 0.5, 0.75, 0.975].map(at))
    }
}

/// Boxes side by side over one axis, with a line at zero.
pub(crate) struct Boxes {
    /// The title above the boxes.
    pub(crate) title: String,
    /// The note below their names.
    pub(crate) note: String,
    /// The name of the vertical axis.
    pub(crate) y: String,
    pub(crate) boxes: Vec<(&'static str, Quantiles)>,
}

/// Size in pixels.
const SIZE: (u32, u32) = (720, 420);
/// Half the width of a box, where neighbours are 1 apart.
const HALF: f64 = 0.2;
const BLUE: RGBColor = RGBColor(0, 114, 178);

impl Boxes {
    /// The boxes as an SVG file.
    ///
    /// # Errors
    /// If they cannot be drawn.
    pub(crate) fn to_svg(&self) -> anyhow::Result<String> {
        let mut svg = String::new();
        self.draw(SVGBackend::with_string(&mut svg, SIZE).into_drawing_area())
            .map_err(|error| anyhow::anyhow!("cannot draw the figure: {error}"))?;
        Ok(svg)
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: DrawingArea<B, plotters::coord::Shift>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let ends = |end: fn(f64, f64) -> f64| self.boxes.iter().flat_map(|(_, q)| q.0).fold(0.0, end);
        let (low, high) = (ends(f64::min), ends(f64::max));
        let margin = 0.05 * (high - low).max(1e-9);
        let right = self.boxes.len() as f64 - 0.5;
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 17))
            .margin(10)
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d(-0.5..right, low - margin..high + margin)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc(&self.note)
            .y_desc(&self.y)
            .x_labels(self.boxes.len())
            // A name below each box, and nothing between them.
            .x_label_formatter(&|place| {
                let nearest = place.round();
                let name = self.boxes.get(nearest as usize).filter(|_| (place - nearest).abs() < 1e-6);
                name.map(|(name, _)| (*name).to_owned()).unwrap_or_default()
            })
            .y_label_formatter(&|place| format!("{place:.2}"))
            .label_style(("sans-serif", 14))
            .axis_desc_style(("sans-serif", 14))
            .light_line_style(WHITE)
            .draw()?;
        chart.draw_series([PathElement::new([(-0.5, 0.0), (right, 0.0)], BLACK)])?;
        for (i, (_, Quantiles([far_low, low, median, high, far_high]))) in self.boxes.iter().enumerate() {
            let x = i as f64;
            let line = |from, to, style: ShapeStyle| PathElement::new([from, to], style);
            let body = [(x - HALF, *low), (x + HALF, *high)];
            chart.draw_series([line((x, *far_low), (x, *far_high), BLACK.mix(0.7).into())])?;
            chart.draw_series([
                Rectangle::new(body, RGBColor(158, 202, 225).filled()),
                Rectangle::new(body, BLUE.stroke_width(1)),
            ])?;
            chart.draw_series([line((x - HALF, *median), (x + HALF, *median), BLUE.stroke_width(2))])?;
        }
        area.present()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours_by_proportion() {
        let sample: Vec<f64> = (0..=40).rev().map(f64::from).collect();
        assert_eq!(Quantiles::of(&sample), Quantiles([1.0, 10.0, 20.0, 30.0, 39.0]));
        assert_eq!(Quantiles::of(&[1.0, 2.0]).0[2], 1.5);
    }

    #[test]
    fn every_box_has_its_name_below_it() {
        let one = Quantiles([-1.0, 0.0, 0.5, 1.0, 2.0]);
        let boxes = Boxes {
            title: "t".into(),
            note: "n".into(),
            y: "share".into(),
            boxes: vec![("left", one), ("right", one)],
        };
        let svg = boxes.to_svg().unwrap();
        for word in ["left", "right", "share", "</svg>"] {
            assert_eq!(svg.matches(word).count(), 1, "{word}: {svg}");
        }
    }
}
