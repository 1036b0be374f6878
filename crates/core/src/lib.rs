//! The contracts between models, strategies and evaluators.
