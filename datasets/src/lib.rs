//! Data sets by protocol and hash.
