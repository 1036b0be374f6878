//! Successive halving: many configurations for a short time, and the best of them for a longer one.
//!
//! A round tries nine configurations for a ninth of the full length, the best three of them for a third of it, and the
//! best one of these for all of it. Every run begins anew, because a schedule spreads over the length of its run.
//!
//! # Reference
//! Jamieson, Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016.

/// One in so many goes on to a run that is as many times longer.
pub(super) const ETA: usize = 3;
/// Lengths of runs in a round.
pub(super) const RUNGS: usize = 3;
/// Configurations of a round.
pub(super) const WIDTH: usize = ETA.pow(RUNGS as u32 - 1);

/// A run of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the configuration; 0 is the config as given.
    pub(super) configuration: usize,
    /// 0 for the shortest runs.
    pub(super) rung: usize,
}

/// The share of the full length that runs of a rung have.
pub(super) fn share(rung: usize) -> f64 {
    (ETA as f64).powi(rung as i32 + 1 - RUNGS as i32)
}

/// The next run of a round, given the scores of those that have ended: lower is better, and infinite is failed. `None` if
/// the round is over.
pub(super) fn next(round: usize, score: impl Fn(Place) -> Option<f64>) -> Option<Place> {
    let mut configurations: Vec<usize> = (round * WIDTH..(round + 1) * WIDTH).collect();
    for rung in 0..RUNGS {
        let scores = configurations.iter().map(|&configuration| score(Place { configuration, rung }));
        let scores: Vec<Option<f64>> = scores.collect();
        if let Some(i) = scores.iter().position(Option::is_none) {
            return Some(Place { configuration: configurations[i], rung });
        }
        let mut ranked: Vec<(f64, usize)> = scores.into_iter().flatten().zip(configurations).collect();
        ranked.retain(|(score, _)| score.is_finite());
        // Of equal ones the earlier goes on.
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        configurations = ranked.into_iter().take(WIDTH / ETA.pow(rung as u32 + 1)).map(|(_, i)| i).collect();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Runs a round in which configuration i has score `of(i)` at every length.
    fn played(round: usize, of: impl Fn(usize) -> f64) -> Vec<Place> {
        let mut scores: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        let mut places = Vec::new();
        while let Some(place) = next(round, |p| scores.get(&(p.configuration, p.rung)).copied()) {
            scores.insert((place.configuration, place.rung), of(place.configuration));
            places.push(place);
        }
        places
    }

    #[test]
    fn the_best_third_goes_on_twice_and_the_cost_is_three_full_runs() {
        let places = played(1, |configuration| (configuration as f64 - 14.2).abs());
        let of = |rung: usize| -> Vec<usize> {
            places.iter().filter(|place| place.rung == rung).map(|place| place.configuration).collect()
        };
        assert_eq!(of(0), (9..18).collect::<Vec<_>>());
        assert_eq!((of(1), of(2)), (vec![14, 15, 13], vec![14]));
        let cost: f64 = places.iter().map(|place| share(place.rung)).sum();
        assert!((cost - 3.0).abs() < 1e-12);
    }

    #[test]
    fn failed_runs_do_not_go_on() {
        let places = played(0, |configuration| if configuration < 2 { 1.0 } else { f64::INFINITY });
        assert_eq!(places.iter().filter(|place| place.rung == 1).count(), 2);
        assert_eq!(played(0, |_| f64::INFINITY).len(), WIDTH, "if all fail, the round ends");
    }
}
