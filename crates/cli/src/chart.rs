//! Line charts as SVG.

use anyhow::anyhow;
use plotters::prelude::*;

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

/// A chart of some lines.
pub struct Chart {
    /// The title above it.
    pub title: String,
    /// The name and the scale of the horizontal axis.
    pub x: (String, Scale),
    /// The name and the scale of the vertical axis.
    pub y: (String, Scale),
    /// The lines, in the order of the legend.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone)]
pub struct Line {
    /// Its name in the legend; `None` for a line that belongs to another.
    pub name: Option<String>,
    /// The index of its colour.
    pub colour: usize,
    /// Points, each with an interval in y.
    pub points: Vec<Point>,
}

/// A point with an interval, which may be the point itself.
#[derive(Clone, Copy)]
pub struct Point {
    /// Its position on the horizontal axis.
    pub x: f64,
    /// Its value.
    pub y: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Point {
    /// A point without an interval.
    pub fn exact(x: f64, y: f64) -> Self {
        Point { x, y, low: y, high: y }
    }
}

/// Size in pixels, for a figure that stays readable at the width of a phone.
const SIZE: (u32, u32) = (560, 420);
/// Colours that colour-blind readers can tell apart, too (Okabe and Ito), without yellow.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(130, 90, 50),
];

impl Scale {
    fn to(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log2 => value.log2(),
            Scale::Log10 => value.log10(),
        }
    }

    fn label(self, place: f64) -> String {
        let plain = |value: f64| match value.abs() {
            size if size >= 1e5 => {
                // Three digits, so that ticks at 100 000 and 150 000 have different labels.
                let unit = 10f64.powf(size.log10().floor() - 2.0);
                format!("{:e}", (value / unit).round() * unit)
            }
            size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
            _ => format!("{}", (value * 1000.0).round() / 1000.0),
        };
        match self {
            Scale::Linear => plain(place),
            Scale::Log2 if (place - place.round()).abs() > 1e-6 => String::new(),
            Scale::Log2 => plain(place.exp2()),
            Scale::Log10 => format!("{:.0e}", 10f64.powf(place)),
        }
    }
}

impl Chart {
    /// The chart as an SVG; `None` if there is no finite point to draw.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn svg(&self) -> anyhow::Result<Option<String>> {
        let (x_scale, y_scale) = (self.x.1, self.y.1);
        let is_shown = |point: &Point| {
            let [x, y] = [x_scale.to(point.x), y_scale.to(point.y)];
            x.is_finite() && y.is_finite()
        };
        let points = || self.lines.iter().flat_map(|line| &line.points).filter(|point| is_shown(point));
        if points().next().is_none() {
            return Ok(None);
        }
        let span = |values: &mut dyn Iterator<Item = f64>| {
            let finite = values.filter(|value| value.is_finite());
            let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            let margin = (0.05 * (high - low)).max(1e-9 * low.abs().max(1e-3));
            low - margin..high + margin
        };
        let x_range = span(&mut points().map(|point| x_scale.to(point.x)));
        let y_range =
            span(&mut points().flat_map(|point| [point.low, point.y, point.high]).map(|y| y_scale.to(y)));
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            area.fill(&WHITE).map_err(drawing)?;
            let mut chart = ChartBuilder::on(&area)
                .caption(&self.title, ("sans-serif", 17))
                .margin(10)
                .x_label_area_size(44)
                .y_label_area_size(64)
                .build_cartesian_2d(x_range, y_range.clone())
                .map_err(drawing)?;
            chart
                .configure_mesh()
                .x_desc(&self.x.0)
                .y_desc(&self.y.0)
                .x_labels(7)
                .y_labels(7)
                .x_label_formatter(&|place| x_scale.label(*place))
                .y_label_formatter(&|place| y_scale.label(*place))
                .label_style(("sans-serif", 14))
                .axis_desc_style(("sans-serif", 14))
                .light_line_style(WHITE)
                .draw()
                .map_err(drawing)?;
            for line in &self.lines {
                let colour = COLOURS[line.colour % COLOURS.len()];
                let width = if line.name.is_some() { 2 } else { 1 };
                let shown: Vec<Point> = line.points.iter().copied().filter(is_shown).collect();
                let place = |point: &Point| (x_scale.to(point.x), y_scale.to(point.y));
                let drawn = chart
                    .draw_series(LineSeries::new(shown.iter().map(place), colour.stroke_width(width)))
                    .map_err(drawing)?;
                if let Some(name) = &line.name {
                    drawn.label(name).legend(move |(x, y)| {
                        PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3))
                    });
                    let dots = shown.iter().map(|point| Circle::new(place(point), 3, colour.filled()));
                    chart.draw_series(dots).map_err(drawing)?;
                }
                let intervals = shown.iter().filter(|point| point.low != point.high).map(|point| {
                    let x = x_scale.to(point.x);
                    let end = |y: f64| y_scale.to(y).clamp(y_range.start, y_range.end);
                    let low = if point.low > 0.0 || y_scale == Scale::Linear {
                        end(point.low)
                    } else {
                        y_range.start
                    };
                    PathElement::new([(x, low), (x, end(point.high))], colour.stroke_width(1))
                });
                chart.draw_series(intervals).map_err(drawing)?;
            }
            chart
                .configure_series_labels()
                .position(self.legend())
                .background_style(WHITE.mix(0.6))
                .label_font(("sans-serif", 14))
                .draw()
                .map_err(drawing)?;
            area.present().map_err(drawing)?;
        }
        Ok(Some(svg))
    }
}

impl Chart {
    /// Where the lines leave room for the legend. Learning curves fall early and leave room at the upper right. On two
    /// logarithmic scales, falling lines leave room at the lower left, and rising lines at the upper left.
    fn legend(&self) -> SeriesLabelPosition {
        let rises = |line: &&Line| match (line.points.first(), line.points.last()) {
            (Some(first), Some(last)) => last.y > first.y,
            _ => false,
        };
        if self.x.1 == Scale::Linear {
            SeriesLabelPosition::UpperRight
        } else if 2 * self.lines.iter().filter(rises).count() > self.lines.len() {
            SeriesLabelPosition::UpperLeft
        } else {
            SeriesLabelPosition::LowerLeft
        }
    }
}

fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a figure could not be drawn: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ticks_have_different_labels() {
        let label = |value| Scale::Linear.label(value);
        assert_eq!([5e4, 1e5, 1.5e5, 2.5e6].map(label), ["50000", "1e5", "1.5e5", "2.5e6"]);
        assert_eq!([0.0, 0.25, -12.5, 300.0].map(label), ["0", "0.25", "-12.5", "300"]);
    }

    #[test]
    fn a_chart_names_its_axes_and_lines_and_leaves_out_what_is_no_number() {
        let mut chart = Chart {
            title: "bias".into(),
            x: ("samples".into(), Scale::Log2),
            y: ("nats".into(), Scale::Log10),
            lines: vec![Line {
                name: Some("rws".into()),
                colour: 1,
                points: vec![
                    Point { x: 2.0, y: 1e-2, low: -1e-3, high: 2e-2 },
                    Point::exact(4.0, f64::NAN),
                    Point::exact(8.0, 1e-4),
                ],
            }],
        };
        let svg = chart.svg().unwrap().unwrap();
        for word in ["bias", "samples", "nats", "rws", "</svg>"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
        chart.lines[0].points = vec![Point::exact(2.0, -1.0)];
        assert!(chart.svg().unwrap().is_none(), "nothing to show on a logarithmic axis");
    }
}
