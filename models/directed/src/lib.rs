//! Directed stacks.
