//! The distribution of the samples.

use helmholtz_core::Draws;

use super::*;

#[test]
fn dreams_have_the_law_of_the_model() {
    const N: usize = 20_000;
    let model = mixture([2, 2, 3], 0.0, 41);
    let (x, components) = model.dream(&Draws::new(Key::new(41), N, 1));
    let (x, components) = (into_f64(x), components.into_data_as::<i64>().try_to_vec::<i64>().unwrap());
    let all = states(3);
    let (bits, joint) = (into_f64(all.x.clone()), into_f64(model.log_joint(&all).exp()));
    let mut counts = [0.0; 32];
    for (x, component) in x.chunks(3).zip(components) {
        let state = bits.chunks(3).position(|bits| bits == x).unwrap();
        counts[4 * state + component as usize] += 1.0;
    }
    let statistic: f64 =
        counts.iter().zip(joint).map(|(count, p)| (count - N as f64 * p).powi(2) / (N as f64 * p)).sum();
    // Chi-square with 31 degrees of freedom exceeds 80 with probability 4e-6.
    assert!(statistic < 80.0, "{statistic}");
}

#[test]
fn a_dream_does_not_depend_on_the_batch_it_is_drawn_in() {
    let model = mixture([1, 5, 9], 0.0, 42);
    let draws = Draws::new(Key::new(42), 6, 4);
    let (x, components) = model.dream(&draws);
    let alone = Draws::of_rows(Key::new(42), vec![5], 4).samples(2..3);
    let (own, component) = model.dream(&alone);
    assert_eq!(own.into_data(), x.slice([22..23, 0..9]).into_data());
    assert_eq!(component.into_data(), components.narrow(0, 22, 1).into_data());
}

#[test]
fn a_component_without_weight_is_never_dreamt_of() {
    let mut model = mixture([1, 3, 2], 0.0, 43);
    model.weights = Param::from_tensor(tensor(vec![-1e4, 0.0, -1e4], [3]));
    let (_, components) = model.dream(&Draws::new(Key::new(43), 500, 2));
    assert!(components.equal_elem(1).all().into_scalar::<bool>());
}
