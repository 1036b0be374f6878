//! Rows of variational autoencoders.
//!
//! Left out for want of a comparison: the rows of Fashion-MNIST and CIFAR-10 in Ruiz et al. 2021, whose
//! log-likelihoods of -168 and -148 are in units that the paper does not state; images of 8 bits a pixel have
//! thousands of nats. And the one of C-ISIR alone, which its text gives for one size.

use super::super::row::{Reported, Source};

// Unbiased gradients by coupled chains: Table 1 of Ruiz et al. 2021, binarised MNIST.

pub(super) const COUPLED_TABLE: &str = "Table 1, binarised MNIST";
pub(super) const COUPLED_WHY: &str = "neighbouring methods of the published table lie 0.8 to 2 nats apart, and are not to be taken for each other";
pub(super) const COUPLED_CHOICES: &str = "Two ReLU layers of 200, softplus deviations, RMSProp at 5e-4, batch 100, 300 epochs, as published. \
     Not stated there and set here: the samples of the ELBO (1, with the KL term to the prior in closed form), the decay of RMSProp \
     (0.99), initial weights (Glorot), data less their mean before the recognition net; the epoch is chosen on validation. \
     Published by annealing over 10000 temperatures; here importance samples of all rows are put right by annealing \
     some over 500. Both are too low on average.";
pub(super) const COUPLED_SUSPECT: &str = "What the paper leaves open: RMSProp's decay, the initial weights, whether the last epoch or the best was scored. \
     Then a twentieth of the published temperatures.";
pub(super) const CONTINUED_CHOICES: &str = "The weights of the IWAE row's best epoch, then an epoch of coupled chains at 1e-4, the rate at which the paper \
     goes on from the IWAE on other sets; chains are given up after 300 iterations, so that a step costs seconds.";
pub(super) const CONTINUED: Source = Source::Other("trained by coupled chains from the first epoch");
pub(super) const CONTROL_CHOICES: &str = "Beside the row of coupled chains, to tell what is theirs: the same weights, the same rate of 1e-4 and as many steps, \
     by the IWAE bound as before.";

/// A row of Ruiz et al. 2021: method, latents, strategy, log-likelihood less its sign, its error, epochs of tier
/// small, minutes.
macro_rules! coupled {
    ($method:literal, $latents:literal, $strategy:literal, $nll:literal, $error:literal, $small_epochs:literal, $minutes:literal) => {
        Row {
            id: concat!("mnist-", $method, "-vae-", $latents),
            paper: "ruiz2021",
            table: vae::COUPLED_TABLE,
            model: concat!("vae 784-(200-200)-", $latents, ", relu"),
            strategy: $strategy,
            data: "mnist/binarized",
            config: concat!("configs/reproduce/mnist-vae-", $method, ".toml"),
            flags: &["--layers", $latents],
            begins_from: None,
            reported: Reported {
                nll: Some($nll),
                measured: concat!(
                    "by annealed importance sampling, 16 chains of 10000 temperatures, ±",
                    $error,
                    " over 10 runs"
                ),
                source: Source::Read,
            },
            tolerance: 0.7,
            why: vae::COUPLED_WHY,
            choices: vae::COUPLED_CHOICES,
            suspect: vae::COUPLED_SUSPECT,
            small_epochs: $small_epochs,
            minutes: $minutes,
        }
    };
}

/// The same for an epoch that begins where the IWAE row ends: by coupled chains, or by the IWAE as before.
macro_rules! continued {
    ($latents:literal, $nll:literal, $minutes:literal) => {
        Row {
            id: concat!("mnist-coupled-after-iwae-vae-", $latents),
            strategy: "iwae, then coupled, K = 10",
            config: "configs/reproduce/mnist-vae-coupled.toml",
            flags: &[
                "--layers",
                $latents,
                "--lr",
                "1e-4",
                "--set",
                "train.epochs=1",
                "--set",
                "strategy.cap=300",
            ],
            reported: Reported {
                nll: Some($nll),
                measured: "by annealed importance sampling",
                source: vae::CONTINUED,
            },
            choices: vae::CONTINUED_CHOICES,
            suspect: vae::COUPLED_SUSPECT,
            minutes: $minutes,
            ..continued!($latents)
        }
    };
    ($latents:literal) => {
        Row {
            id: concat!("mnist-iwae-after-iwae-vae-", $latents),
            paper: "ruiz2021",
            table: vae::COUPLED_TABLE,
            model: concat!("vae 784-(200-200)-", $latents, ", relu"),
            strategy: "iwae, then iwae more slowly, K = 10",
            data: "mnist/binarized",
            config: "configs/reproduce/mnist-vae-iwae.toml",
            flags: &["--layers", $latents, "--lr", "1e-4", "--set", "train.epochs=1"],
            begins_from: Some(concat!("mnist-iwae-vae-", $latents)),
            reported: Reported {
                nll: None,
                measured: "by annealed importance sampling",
                source: Source::None,
            },
            tolerance: 0.7,
            why: "not judged",
            choices: vae::CONTROL_CHOICES,
            suspect: "",
            small_epochs: 1,
            minutes: 1,
        }
    };
}

// Importance weighted autoencoders: Burda et al. 2016.

pub(super) const ONE_LAYER: &str = "vae 784-(200-200)-50, tanh";
pub(super) const TWO_LAYERS: &str = "vae 784-(200-200)-100-(100-100)-50, tanh";
pub(super) const ONE: &str = "configs/reproduce/vae-one-layer-iwae.toml";
pub(super) const TWO: &str = "configs/reproduce/vae-two-layers-iwae.toml";
pub(super) const WHY: &str =
    "less than what lies between neighbouring K and between one layer and two in most of the published table";
pub(super) const CHOICES: &str = "Tanh layers, exponential deviations, batch 20, Adam with β₁ = 0.99 and ε = 1e-4 on gradients summed over the batch, \
     as published. There 3280 epochs in stages of 1, 3, 9, ... 2187, the rate falling from 1e-3 to 1e-4; here 200 with the \
     same fall, and averaged weights. There 400 validation rows of MNIST, here 10000, which choose the epoch.";
pub(super) const SUSPECT: &str =
    "A sixteenth of the published epochs, and a sixth less training rows of dynamic MNIST.";

const K5000: &str = "5000 importance samples";
pub(super) const DYNAMIC: Reported = Reported {
    nll: Some(82.90),
    measured: K5000,
    source: Source::Quoted("the tables of two later papers (Rolfe 2017; Chen et al. 2017), which quote it"),
};
pub(super) const FIXED: Reported = Reported {
    nll: Some(85.3),
    measured: "by importance samples; bound 96.1",
    source: Source::Quoted("Table 3 of the bidirectional Helmholtz machine paper, which quotes it"),
};
pub(super) const FIXED_VAE: Reported = Reported {
    nll: Some(88.7),
    measured: "by importance samples; bound 96.2",
    source: Source::SecondHand("in a table that does not say how many layers it is of; recalled as one"),
};
const OTHER_DRAWINGS: Source = Source::Other(
    "of the drawings in chardata.mat, which were cut and averaged in another way than the ones here",
);
pub(super) const OMNIGLOT_IWAE: Reported =
    Reported { nll: Some(103.38), measured: K5000, source: OTHER_DRAWINGS };
pub(super) const OMNIGLOT_VAE: Reported =
    Reported { nll: Some(106.31), measured: K5000, source: OTHER_DRAWINGS };
pub(super) const CALTECH: Reported = Reported {
    nll: Some(117.2),
    measured: "not known",
    source: Source::SecondHand("of an IWAE whose layers the quoting table (Rolfe 2017) does not give"),
};

/// A figure of the paper's table that was not read anywhere.
pub(super) const fn recalled(nll: f64) -> Reported {
    Reported { nll: Some(nll), measured: K5000, source: Source::Recalled }
}

/// A row of Burda et al. 2016.
pub(super) const fn burda(
    [id, data, model, strategy, config]: [&'static str; 5],
    flags: &'static [&'static str],
    reported: Reported,
    minutes: u32,
) -> super::Row {
    super::Row {
        id,
        paper: "burda2016",
        table: "Tables 1 and 2",
        model,
        strategy,
        data,
        config,
        flags,
        begins_from: None,
        reported,
        tolerance: 0.7,
        why: WHY,
        choices: CHOICES,
        suspect: SUSPECT,
        small_epochs: 1,
        minutes,
    }
}

/// The same by the IWAE bound: name and id of the data, depth, K, what was published, minutes.
macro_rules! iwae {
    ($name:literal, $data:literal, one, $k:literal, $reported:expr, $minutes:literal) => {
        burda(
            [
                concat!($name, "-iwae-vae-one-layer-k", $k),
                $data,
                vae::ONE_LAYER,
                concat!("iwae, K = ", $k),
                vae::ONE,
            ],
            &["--samples", $k],
            $reported,
            $minutes,
        )
    };
    ($name:literal, $data:literal, two, $k:literal, $reported:expr, $minutes:literal) => {
        burda(
            [
                concat!($name, "-iwae-vae-two-layers-k", $k),
                $data,
                vae::TWO_LAYERS,
                concat!("iwae, K = ", $k),
                vae::TWO,
            ],
            &["--samples", $k],
            $reported,
            $minutes,
        )
    };
}

pub(super) use {continued, coupled, iwae};
