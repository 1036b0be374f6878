//! The few tensor operations Burn lacks, each with its exact gradient.
