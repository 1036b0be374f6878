//! `helmholtz doctor`.
//!
//! Every operation, layer, model, strategy, sampler and evaluator computes the same thing twice, from the same numbers
//! and the same noise: on the device in single precision, and on `flex` in double precision. Any difference is due to
//! rounding or to a wrong kernel.

mod layers;
mod operations;
mod samplers;

use std::process::ExitCode;

use burn::tensor::DType;
use serde_json::json;

use crate::args::DoctorArgs;
use crate::console::say;
use crate::device;
use crate::error::user;
use crate::registry::registry;
use crate::threads::use_threads;
use helmholtz_zoo::check::{DoctorCheck, DoctorRow, On};

/// Compares a device with the reference.
///
/// # Errors
/// If the device or the reference is not available.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    use_threads(args.threads)?;
    let name = args.device.as_deref().unwrap_or("flex");
    let on = On { device: device::select(name)?, dtype: DType::F32 };
    let reference = device::select("flex")
        .map_err(|error| user(format!("doctor compares with flex in double precision: {error}")))?;
    let reference = On { device: reference, dtype: DType::F64 };
    let checks = checks();
    let rows = quietly(|| {
        let judge = |check: &DoctorCheck| {
            let row = check.judge(&on, &reference);
            if !args.json {
                print(&row);
            }
            row
        };
        checks.iter().map(judge).collect::<Vec<_>>()
    });
    let missed = rows.iter().filter(|row| !row.holds()).count();
    if args.json {
        say!("{}", to_json(name, &rows, missed));
    } else if missed == 0 {
        say!(
            "{name}: all {} checks agree with flex in double precision, within their tolerances",
            rows.len()
        );
    } else {
        say!(
            "{name}: {missed} of {} checks differ from flex in double precision by more than their tolerances",
            rows.len()
        );
    }
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn checks() -> Vec<DoctorCheck> {
    let families = registry().families().iter().flat_map(|family| (family.checks)());
    let before = operations::checks().into_iter().chain(layers::checks());
    before.chain(families).chain(samplers::checks()).collect()
}

/// Runs `f` without printing panics, which appear in their rows only.
fn quietly<T>(f: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = f();
    std::panic::set_hook(hook);
    found
}

fn print(row: &DoctorRow) {
    let DoctorRow { group, name, tolerance, deviation, output, error } = row;
    let verdict = if row.holds() { "ok" } else { "MISS" };
    let what = error.as_ref().map_or_else(|| format!("in {output}"), |error| error.clone());
    say!("{verdict:<4}  {group:<9}  {name:<30}  {deviation:>8.1e} of {tolerance:.0e}  {what}");
}

fn to_json(device: &str, rows: &[DoctorRow], missed: usize) -> serde_json::Value {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "group": row.group, "name": row.name, "tolerance": row.tolerance, "output": row.output,
                "deviation": row.deviation.is_finite().then_some(row.deviation), "holds": row.holds(),
                "error": row.error,
            })
        })
        .collect();
    json!({"device": device, "reference": "flex, f64", "rows": rows, "missed": missed})
}
