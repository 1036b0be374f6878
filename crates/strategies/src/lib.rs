//! Training strategies.
