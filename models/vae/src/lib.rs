//! Variational autoencoders: continuous latents, and nets of hidden units between the layers.
//!
//! | module | contents |
//! | --- | --- |
//! | [`config`] | [`VaeConfig`]: sizes, distributions and initialisation |
//! | [`vae`] | [`Vae`]: Gaussian layers of latents under `N(0, I)`, and their recognition net |
//! | [`path`] | the path from the noise to the latents, and the backward pass along it |
//! | [`gaussian`] | a Gaussian layer with a net for its moments |
//! | [`observed`] | the layer of the observed units |
//! | [`likelihood`] | Bernoulli units, a mixture of logistic distributions for grey values, Gaussian units |
//! | [`logistics`] | the mixture of logistic distributions |
//! | [`net`], [`body`], [`conv`] | hidden units: perceptrons, convolutions |
//!
//! ```
//! use burn::tensor::Device;
//! use helmholtz_core::{Draws, Key, LatentVariableModel};
//! use helmholtz_vae::VaeConfig;
//!
//! let vae = VaeConfig::new(25, vec![3]).init(None, Key::new(0), &Device::flex()).unwrap();
//! let (x, _) = vae.dream(&Draws::new(Key::new(1), 4, 1));
//! let log_weights = vae.propose(x, &Draws::new(Key::new(2), 4, 10), 0.0).log_weights();
//! assert_eq!(log_weights.dims(), [4, 10]);
//! ```

pub mod body;
pub mod config;
pub mod conv;
pub mod gaussian;
pub mod likelihood;
pub mod logistics;
pub mod net;
pub mod observed;
pub mod path;
pub mod vae;

pub use config::{VaeConfig, VaeError};
pub use gaussian::Std;
pub use helmholtz_ops::hidden::Activation;
pub use likelihood::Likelihood;
pub use vae::Vae;
