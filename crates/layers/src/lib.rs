//! Stochastic layers p(x | y).
