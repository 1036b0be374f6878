//! The doctor's checks of stacks and of the strategies on them.

use helmholtz_core::{Key, Strategy};
use helmholtz_directed::{HelmholtzMachine, LayerKind, StackConfig};
use helmholtz_strategies::{Bidirectional, Nvil, Reinforce, ReweightedWakeSleep, Vimco, WakeSleep};

use crate::check::{DoctorCheck, On, of_model, of_strategy};

const TOLERANCE: f64 = 1e-4;
const OBSERVED: usize = 13;
const LATENTS: [usize; 2] = [7, 10];

/// A stack of layers of one kind.
pub fn stack(on: &On, kind: LayerKind) -> HelmholtzMachine {
    let mean: Vec<f64> = (0..OBSERVED).map(|j| 0.1 + 0.06 * j as f64).collect();
    let config = StackConfig::of(kind, OBSERVED, LATENTS.to_vec());
    on.cast(config.init(Some(&mean), Key::new(1), &on.device).expect("the sizes make a stack"))
}

/// The checks of all kinds of layers, and of all strategies.
pub fn checks() -> Vec<DoctorCheck> {
    let stacks = LayerKind::ALL.into_iter().map(|(name, kind)| {
        DoctorCheck::new("model", name, TOLERANCE, move |on, out| {
            of_model(out, &stack(on, kind), on.bits("x", [5, OBSERVED]));
        })
    });
    stacks.chain(of_stacks()).collect()
}

fn of_stacks() -> Vec<DoctorCheck> {
    fn check<S: Strategy<HelmholtzMachine>>(
        name: impl Into<String>,
        kind: LayerKind,
        strategy: impl Fn(&On) -> S + 'static,
    ) -> DoctorCheck {
        DoctorCheck::new("strategy", name, TOLERANCE, move |on, out| {
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
        check("ws", LayerKind::Sbn, |_| WakeSleep::new(1)),
        check("rws, both phases and a mixture", LayerKind::Sbn, both),
        check("vimco", LayerKind::Sbn, |_| Vimco::new(3).expect("K is 3")),
        check("reinforce", LayerKind::Sbn, |_| Reinforce::new(3).expect("K is 3")),
        check("nvil", LayerKind::Sbn, move |on| Nvil::new(3, &sizes, Key::new(8), &on.device)),
        check("bihm", LayerKind::Sbn, |_| Bidirectional { samples: 3, control_variate: true }),
    ];
    checks.extend(LayerKind::ALL.map(|(name, kind)| check(format!("rws on {name}"), kind, rws)));
    checks
}
