//! The families that this program knows.

use std::sync::OnceLock;

use helmholtz_zoo::Registry;

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// The families: those of the workspace, unless others were [installed](install).
pub fn registry() -> &'static Registry {
    REGISTRY.get_or_init(helmholtz_zoo::registry)
}

/// Sets the families of this program, before anything else is asked of it.
///
/// # Panics
/// If they are known already.
pub fn install(registry: Registry) {
    assert!(REGISTRY.set(registry).is_ok(), "a program has one registry, and it was asked for already");
}
