//! Contracts across crates.
