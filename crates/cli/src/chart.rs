//! Line charts as SVG.

mod scale;
pub mod ticks;

use std::ops::Range;

use anyhow::anyhow;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
pub use scale::Scale;

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
/// Size of the text: 11 pixels where the figure is 358 wide.
const TEXT: u32 = 17;
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

/// The ticks of a range of places, with their labels.
fn ticks_of(scale: Scale, places: &Range<f64>) -> Vec<(f64, String)> {
    let values = ticks::ticks(scale, scale.back(places.start), scale.back(places.end));
    values.into_iter().map(|value| (scale.to(value), ticks::label(value))).collect()
}

/// The label of the tick at a place.
fn label_at(ticks: &[(f64, String)], place: f64) -> String {
    let at = ticks.iter().find(|(tick, _)| *tick == place);
    at.map(|(_, label)| label.clone()).unwrap_or_default()
}

/// An axis with ticks at places of its own.
struct Axis {
    range: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Axis {
    fn new(range: Range<f64>, ticks: &[(f64, String)]) -> Self {
        Axis { range: range.into(), ticks: ticks.iter().map(|(place, _)| *place).collect() }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light lines would lie between the ticks.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.range()
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
        let (x_ticks, y_ticks) = (ticks_of(x_scale, &x_range), ticks_of(y_scale, &y_range));
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            area.fill(&WHITE).map_err(drawing)?;
            let mut chart = ChartBuilder::on(&area)
                .caption(&self.title, ("sans-serif", TEXT + 2))
                .margin(10)
                .x_label_area_size(50)
                .y_label_area_size(76)
                .build_cartesian_2d(
                    Axis::new(x_range.clone(), &x_ticks),
                    Axis::new(y_range.clone(), &y_ticks),
                )
                .map_err(drawing)?;
            chart
                .configure_mesh()
                .x_desc(&self.x.0)
                .y_desc(&self.y.0)
                .x_label_formatter(&|place| label_at(&x_ticks, *place))
                .y_label_formatter(&|place| label_at(&y_ticks, *place))
                .label_style(("sans-serif", TEXT))
                .axis_desc_style(("sans-serif", TEXT))
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
            // A single line is what the title and the axis say; a legend would only cover it.
            if self.lines.len() > 1 {
                chart
                    .configure_series_labels()
                    .position(self.legend(&x_range, &y_range))
                    .background_style(WHITE.mix(0.6))
                    .label_font(("sans-serif", TEXT))
                    .draw()
                    .map_err(drawing)?;
            }
            area.present().map_err(drawing)?;
        }
        Ok(Some(svg))
    }
}

impl Chart {
    /// The corner that the lines cross least. Of equal ones the upper right, which falling curves leave free.
    fn legend(&self, x: &Range<f64>, y: &Range<f64>) -> SeriesLabelPosition {
        const WIDTH: f64 = 0.4;
        let named = self.lines.iter().filter(|line| line.name.is_some()).count();
        let height = (0.08 * named as f64 + 0.02).min(0.5);
        let share = |place: f64, range: &Range<f64>| (place - range.start) / (range.end - range.start);
        let at = |point: &Point| (share(self.x.1.to(point.x), x), share(self.y.1.to(point.y), y));
        // Twenty places on the way from each point to the next.
        let on_the_way = |((x0, y0), (x1, y1)): ((f64, f64), (f64, f64))| {
            (0..=20)
                .map(move |i| (x0 + (x1 - x0) * f64::from(i) / 20.0, y0 + (y1 - y0) * f64::from(i) / 20.0))
        };
        let between = |line: &Line| -> Vec<(f64, f64)> {
            line.points.windows(2).flat_map(|pair| on_the_way((at(&pair[0]), at(&pair[1])))).collect()
        };
        let points = self.lines.iter().flat_map(|line| line.points.iter().map(at));
        let places: Vec<(f64, f64)> = points.chain(self.lines.iter().flat_map(between)).collect();
        let crossed = |right: bool, upper: bool| {
            let is_inside = |&&(x, y): &&(f64, f64)| {
                (if right { x > 1.0 - WIDTH } else { x < WIDTH })
                    && (if upper { y > 1.0 - height } else { y < height })
            };
            places.iter().filter(is_inside).count()
        };
        let corners = [
            (crossed(true, true), SeriesLabelPosition::UpperRight),
            (crossed(false, false), SeriesLabelPosition::LowerLeft),
            (crossed(false, true), SeriesLabelPosition::UpperLeft),
            (crossed(true, false), SeriesLabelPosition::LowerRight),
        ];
        let [mut best, others @ ..] = corners;
        for corner in others {
            if corner.0 < best.0 {
                best = corner;
            }
        }
        best.1
    }
}

/// Several charts as one SVG, two in a row. A chart without a finite point leaves its place empty.
///
/// # Errors
/// If one cannot be drawn.
pub fn sheet(charts: &[Chart]) -> anyhow::Result<String> {
    let (width, height) = SIZE;
    let (columns, rows) = (charts.len().min(2) as u32, charts.len().div_ceil(2) as u32);
    let (width_of_all, height_of_all) = (width * columns, height * rows);
    let mut svg = format!(
        "<svg width=\"{width_of_all}\" height=\"{height_of_all}\" viewBox=\"0 0 {width_of_all} {height_of_all}\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n"
    );
    for (i, chart) in (0..).zip(charts) {
        if let Some(chart) = chart.svg()? {
            let (x, y) = (i % 2 * width, i / 2 * height);
            svg += &format!("<g transform=\"translate({x} {y})\">\n{chart}</g>\n");
        }
    }
    Ok(svg + "</svg>\n")
}

fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a figure could not be drawn: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The labels of a drawn chart, with the place of each along the axis, in pixels.
    fn drawn(svg: &str, axis: char) -> Vec<(f64, f64)> {
        let number = |text: &str, name: &str| -> Option<f64> {
            text.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?.parse().ok()
        };
        let texts = svg.split("<text").skip(1).filter_map(|text| {
            let (head, rest) = text.split_once('>')?;
            let value: f64 = rest.split('<').next()?.trim().parse().ok()?;
            // Labels of the vertical axis end beside it; those of the horizontal one are centred below it.
            let is_of_y = head.contains("text-anchor=\"end\"");
            let place = number(head, if axis == 'x' { "x" } else { "y" })?;
            (is_of_y == (axis == 'y')).then_some((value, place))
        });
        texts.collect()
    }

    #[test]
    fn labels_stand_where_their_values_are() {
        for (scale, low, high) in [
            (Scale::Linear, 3.25, 6.1),
            (Scale::Log10, 0.14, 2.2),
            (Scale::Log10, 3e-5, 40.0),
            (Scale::Log2, 2.0, 64.0),
        ] {
            let points = vec![Point::exact(low, low), Point::exact(high, high)];
            let chart = Chart {
                title: "t".into(),
                x: ("x".into(), scale),
                y: ("y".into(), scale),
                lines: vec![Line { name: None, colour: 0, points }],
            };
            let svg = chart.svg().unwrap().unwrap();
            for axis in ['x', 'y'] {
                let labels = drawn(&svg, axis);
                assert!(labels.len() >= 3, "{labels:?}");
                // On the axis of the scale, values and pixels are on one line.
                let (first, last) = (labels[0], labels[labels.len() - 1]);
                let slope = (last.1 - first.1) / (scale.to(last.0) - scale.to(first.0));
                for (value, place) in labels {
                    let expected = first.1 + slope * (scale.to(value) - scale.to(first.0));
                    assert!((place - expected).abs() <= 1.5, "{axis}: {value} at {place}, not at {expected}");
                }
            }
        }
    }

    #[test]
    fn a_sheet_has_its_charts_two_in_a_row() {
        let chart = |y: f64| Chart {
            title: "t".into(),
            x: ("x".into(), Scale::Linear),
            y: ("y".into(), Scale::Log10),
            lines: vec![Line {
                name: None,
                colour: 0,
                points: vec![Point::exact(1.0, y), Point::exact(2.0, y)],
            }],
        };
        let svg = sheet(&[chart(1.0), chart(-1.0), chart(2.0)]).unwrap();
        assert!(svg.starts_with("<svg width=\"1120\" height=\"840\""), "{}", &svg[..80]);
        // The second has nothing to show.
        assert!(svg.contains("translate(0 0)") && svg.contains("translate(0 420)"));
        assert!(!svg.contains("translate(560 0)"));
        assert_eq!((svg.matches("<svg ").count(), svg.matches("</svg>").count()), (3, 3));
    }

    #[test]
    fn the_legend_stands_where_the_lines_leave_room() {
        let legend = |values: [f64; 3]| {
            let point = |(i, &y): (usize, &f64)| Point::exact(i as f64, y);
            let points: Vec<Point> = values.iter().enumerate().map(point).collect();
            let line = |name: &str| Line { name: Some(name.into()), colour: 0, points: points.clone() };
            let lines = vec![line("a"), line("b")];
            let axis = || ("x".to_owned(), Scale::Linear);
            Chart { title: "t".into(), x: axis(), y: axis(), lines }.legend(&(0.0..2.0), &(0.0..1.0))
        };
        assert!(matches!(legend([1.0, 0.3, 0.0]), SeriesLabelPosition::UpperRight), "falling");
        assert!(matches!(legend([1.0, 1.0, 1.0]), SeriesLabelPosition::LowerLeft), "at the top");
        assert!(matches!(legend([0.0, 0.0, 1.0]), SeriesLabelPosition::UpperLeft), "rising late");
        let axis = || ("x".to_owned(), Scale::Linear);
        let line = Line { name: Some("a".into()), colour: 0, points: vec![Point::exact(2.0, 1.0)] };
        let single = Chart { title: "t".into(), x: axis(), y: axis(), lines: vec![line.clone(), line] };
        let found = single.legend(&(0.0..2.0), &(0.0..1.0));
        assert!(matches!(found, SeriesLabelPosition::LowerLeft), "one point each, at the upper right");
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
        for word in ["bias", "samples", "nats", "</svg>"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
        chart.lines[0].points = vec![Point::exact(2.0, -1.0)];
        assert!(chart.svg().unwrap().is_none(), "nothing to show on a logarithmic axis");
    }
}
