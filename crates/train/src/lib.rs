//! Training through Burn's learner.
