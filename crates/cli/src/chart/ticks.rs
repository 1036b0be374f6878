//! Ticks of an axis: at 1, 2 and 5 times a power of ten, and labels that are exactly the values.

use super::scale::Scale;

/// The most ticks of an axis.
const MOST: usize = 8;

/// The values of the ticks between two values, in order.
pub fn ticks(scale: Scale, low: f64, high: f64) -> Vec<f64> {
    if !(low.is_finite() && high.is_finite() && low < high) {
        return Vec::new();
    }
    let found = match scale {
        Scale::Linear => return linear(low, high),
        Scale::Log2 => powers_of_two(low, high),
        Scale::Log10 => powers_of_ten(low, high),
    };
    // An axis that spans less than a few powers has ticks as a linear one has.
    if found.len() < 3 { linear(low, high).into_iter().filter(|value| *value > 0.0).collect() } else { found }
}

/// The label of a tick.
pub fn label(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:e}"),
        _ => format!("{value}"),
    }
}

/// `digits · 10^exponent`, rounded once.
fn decimal(digits: i64, exponent: i32) -> f64 {
    format!("{digits}e{exponent}").parse().expect("digits and an exponent are a number")
}

/// Multiples of the smallest step among 1, 2 and 5 times powers of ten that makes few enough.
fn linear(low: f64, high: f64) -> Vec<f64> {
    let mut exponent = ((high - low) / MOST as f64).log10().floor() as i32;
    loop {
        for digits in [1, 2, 5] {
            let step = decimal(digits, exponent);
            let (first, last) = ((low / step).ceil(), (high / step).floor());
            if last - first < MOST as f64 {
                return (first as i64..=last as i64).map(|i| decimal(i * digits, exponent)).collect();
            }
        }
        exponent += 1;
    }
}

fn powers_of_ten(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let of = |digits: &[i64], every: usize| -> Vec<f64> {
        let exponents = (first..=last).filter(|exponent| exponent.rem_euclid(every as i32) == 0);
        let values =
            exponents.flat_map(|exponent| digits.iter().map(move |digits| decimal(*digits, exponent)));
        values.filter(|value| (low..=high).contains(value)).collect()
    };
    let all = of(&[1, 2, 5], 1);
    if all.len() <= MOST {
        return all;
    }
    let mut every = 1;
    while of(&[1], every).len() > MOST {
        every += 1;
    }
    of(&[1], every)
}

fn powers_of_two(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log2().ceil() as i32, high.log2().floor() as i32);
    let every = ((last - first + 1).max(1) as usize).div_ceil(MOST) as i32;
    (first..=last)
        .filter(|exponent| exponent.rem_euclid(every) == 0)
        .map(|exponent| 2f64.powi(exponent))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_where_readers_expect_them() {
        assert_eq!(ticks(Scale::Linear, 0.3, 10.2), [2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(Scale::Linear, -0.11, 0.12), [-0.1, -0.05, 0.0, 0.05, 0.1]);
        assert_eq!(ticks(Scale::Log10, 0.05, 2.5), [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
        assert_eq!(ticks(Scale::Log10, 1e-6, 1e3), [1e-6, 1e-4, 1e-2, 1.0, 100.0]);
        assert_eq!(ticks(Scale::Log2, 1.9, 33.0), [2.0, 4.0, 8.0, 16.0, 32.0]);
        assert_eq!(ticks(Scale::Log10, 3.1, 3.9), [3.2, 3.4, 3.6, 3.8]);
        assert_eq!(
            [5e4, 1e5, 1.5e5, 2.5e6, 0.0, 0.25, -12.5, 2e-4].map(label),
            ["50000", "1e5", "1.5e5", "2.5e6", "0", "0.25", "-12.5", "2e-4"]
        );
    }

    proptest! {
        /// A label reads back as the value that the tick stands at: no tick is at another place than it says.
        #[test]
        fn labels_are_the_values_of_their_ticks(
            low in -6.0..6.0f64, span in 0.01..9.0f64, is_negative: bool, which in 0..3usize,
        ) {
            let scale = [Scale::Linear, Scale::Log2, Scale::Log10][which];
            let (mut low, mut high) = (10f64.powf(low), 10f64.powf(low + span));
            if is_negative && scale == Scale::Linear {
                (low, high) = (-high, low);
            }
            let ticks = ticks(scale, low, high);
            prop_assert!(ticks.len() >= 2 && ticks.len() <= MOST + 1, "{ticks:?} of [{low}, {high}]");
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
            for tick in ticks {
                prop_assert!(low <= tick && tick <= high);
                prop_assert_eq!(label(tick).parse::<f64>().unwrap(), tick);
                // Powers of two have the digits that they have.
                prop_assert!(scale == Scale::Log2 || label(tick).len() <= 12, "{}", label(tick));
            }
        }
    }
}
