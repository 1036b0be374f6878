//! Likelihood evaluation.
