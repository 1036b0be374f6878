//! Box plots as SVG.

/// The quantiles of a sample that a box shows: 2.5, 25, 50, 75 and 97.5 per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantiles(pub(crate) [f64; 5]);

impl Quantiles {
    /// Of a sample that is not empty, between neighbours by proportion.
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
    pub(crate) title: String,
    pub(crate) boxes: Vec<(&'static str, Quantiles)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
/// Left, right, top and bottom of the plot.
const PLOT: [f64; 4] = [70.0, 700.0, 50.0, 320.0];

impl Boxes {
    /// A file of its own.
    pub(crate) fn to_svg(&self) -> String {
        let [left, right, top, bottom] = PLOT;
        let ends = |end: fn(f64, f64) -> f64| self.boxes.iter().flat_map(|(_, q)| q.0).fold(0.0, end);
        let (low, high) = (ends(f64::min), ends(f64::max));
        let margin = 0.05 * (high - low).max(1e-9);
        let (low, high) = (low - margin, high + margin);
        let y = |value: f64| top + (bottom - top) * (high - value) / (high - low);
        let mut svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif' \
             font-size='12'>\n<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>\n"
        );
        // The title may be long: two lines.
        let middle = self.title.len() / 2;
        let cut = self.title[middle..].find(' ').map_or(self.title.len(), |at| middle + at);
        let (first, second) = self.title.split_at(cut);
        svg += &format!(
            "<text x='{left}' y='18'>{first}</text>\n<text x='{left}' y='34'>{}</text>\n",
            second.trim()
        );
        let step = step(high - low);
        let mut tick = (low / step).ceil() * step;
        while tick <= high {
            let at = y(tick);
            let colour = if tick.abs() < step / 2.0 { "#000" } else { "#ddd" };
            svg += &format!("<line x1='{left}' x2='{right}' y1='{at:.1}' y2='{at:.1}' stroke='{colour}'/>\n");
            svg +=
                &format!("<text x='{}' y='{:.1}' text-anchor='end'>{tick:.2}</text>\n", left - 6.0, at + 4.0);
            tick += step;
        }
        let width = (right - left) / self.boxes.len() as f64;
        for (i, (name, Quantiles(q))) in self.boxes.iter().enumerate() {
            let centre = left + width * (i as f64 + 0.5);
            let half = 0.2 * width;
            let [far_low, low, median, high, far_high] = q.map(y);
            svg += &format!(
                "<line x1='{centre:.1}' x2='{centre:.1}' y1='{far_low:.1}' y2='{far_high:.1}' stroke='#555'/>\n\
                 <rect x='{:.1}' y='{high:.1}' width='{:.1}' height='{:.1}' fill='#9ecae1' stroke='#3182bd'/>\n\
                 <line x1='{:.1}' x2='{:.1}' y1='{median:.1}' y2='{median:.1}' stroke='#08519c' stroke-width='2'/>\n\
                 <text x='{centre:.1}' y='{}' text-anchor='middle'>{name}</text>\n",
                centre - half,
                2.0 * half,
                (low - high).max(0.5),
                centre - half,
                centre + half,
                bottom + 20.0
            );
        }
        svg + "</svg>\n"
    }
}

/// A round distance between ticks: about five of them.
fn step(span: f64) -> f64 {
    let rough = span / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
    factor * power
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
    fn ticks_are_round() {
        assert_eq!([1.0, 0.9, 12.0, 0.02].map(step), [0.2, 0.2, 5.0, 0.005]);
    }
}
