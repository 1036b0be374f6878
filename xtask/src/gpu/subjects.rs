//! What is timed, and what is trained.

/// Names, and flags of `train`.
pub(super) const SPEEDS: [(&str, &str); 6] = [
    ("rws-200-200-200", "--layers 200,200,200 --strategy rws"),
    ("rws-400-300-200-100-10", "--layers 400,300,200,100,10 --strategy rws"),
    ("bihm-twelve-layers", "--model bihm --layers 300,200,100,75,50,35,30,25,20,15,10,10"),
    ("rws-nade", "--model nade --layers 150 --strategy rws --samples 5"),
    ("iwae-one-layer", "--model vae --layers 20 --strategy iwae --samples 10"),
    ("coupled-one-layer", "--model vae --layers 20 --strategy coupled --samples 10"),
];

/// Names, and files in `configs/`.
pub(super) const TRAININGS: [(&str, &str); 2] = [
    ("sbn-200-200-200", "reproduce/mnist-sbn-200-200-200-rws.toml"),
    ("bihm-twelve-layers", "reproduce/mnist-bihm-twelve-layers.toml"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use helmholtz_cli::config::{Config, Overlay};

    #[test]
    fn the_configs_are_there_and_whole() {
        for (name, config) in TRAININGS {
            let path = crate::workspace::root().join("configs").join(config);
            Config::resolve(Some(&path), &Overlay::default())
                .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        }
    }
}
