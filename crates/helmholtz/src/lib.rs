//! Deep generative models with latent variables on Burn.
