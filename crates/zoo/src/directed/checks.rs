//! What the doctor checks of stacks and of the strategies on them.

use helmholtz_core::{Key, Strategy};
use helmholtz_directed::{HelmholtzMachine, Kind, StackConfig};
use helmholtz_strategies::{Bidirectional, Nvil, Reinforce, ReweightedWakeSleep, Vimco, WakeSleep};

use crate::check::{Check, On, of_model, of_strategy};

const TOLERANCE: f64 = 1e-4;
const OBSERVED: usize = 13;
const LATENTS: [usize; 2] = [7, 10];

/// A stack of layers of one kind.
pub fn stack(on: &On, kind: Kind) -> HelmholtzMachine {
    let mean: Vec<f64> = (0..OBSERVED).map(|j| 0.1 + 0.06 * j as f64).collect();
    let config = StackConfig::of(kind, OBSERVED, LATENTS.to_vec());
    on.cast(config.init(Some(&mean), Key::new(1), &on.device).expect("the sizes make a stack"))
}

/// All kinds of layers, and all strategies.
pub fn checks() -> Vec<Check> {
    let stacks = Kind::ALL.into_iter().map(|(name, kind)| {
        Check::new("model", name, TOLERANCE, move |on, out| {
            of_model(out, &stack(on, kind), on.bits("x", [5, OBSERVED]));
        })
    });
    stacks.chain(of_stacks()).collect()
}

fn of_stacks() -> Vec<Check> {
    fn check<S: Strategy<HelmholtzMachine>>(
        name: impl Into<String>,
        kind: Kind,
        strategy: impl Fn(&On) -> S + 'static,
    ) -> Check {
        Check::new("strategy", name, TOLERANCE, move |on, out| {
            of_strategy(on, out, &stack(on, kind), &strategy(on));
        })
    }
    let sizes = [OBSERVED, LATENTS[0], LATENTS[1]];
    let both = |_: &On| ReweightedWakeSleep {
        samples: 3,
        wake_phi: 0.5,
        sleep_phi: 0.5,
        control_variate: false,
        defence: 0.2,
    };
    let rws = |_: &On| ReweightedWakeSleep::new(3).expect("K is 3");
    let mut checks = vec![
        check("ws", Kind::Sbn, |_| WakeSleep::new(1)),
        check("rws, both phases and a mixture", Kind::Sbn, both),
        check("vimco", Kind::Sbn, |_| Vimco::new(3).expect("K is 3")),
        check("reinforce", Kind::Sbn, |_| Reinforce::new(3).expect("K is 3")),
        check("nvil", Kind::Sbn, move |on| Nvil::new(3, &sizes, Key::new(8), &on.device)),
        check("bihm", Kind::Sbn, |_| Bidirectional { samples: 3, control_variate: true }),
    ];
    checks.extend(Kind::ALL.map(|(name, kind)| check(format!("rws on {name}"), kind, rws)));
    checks
}
