//! The families that this program knows.

use std::sync::OnceLock;

use helmholtz_zoo::Registry;

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// The families: those of the workspace, unless others were [installed](install).
pub fn registry() -> &'static Registry {
    REGISTRY.get_or_init(helmholtz_zoo::registry)
}

/// Sets the families of this program. It must be called before anything else.
///
/// # Panics
/// If the families have already been set or used.
pub fn install(registry: Registry) {
    assert!(REGISTRY.set(registry).is_ok(), "the registry can be set only once, before its first use");
}
