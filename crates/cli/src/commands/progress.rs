//! Progress bars of an evaluation.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::args::EvaluateArgs;

/// A progress bar that disappears when it is dropped.
///
/// # Errors
/// If the unit breaks its template.
pub(super) fn bar(unit: &str, args: &EvaluateArgs) -> anyhow::Result<ProgressBar> {
    let bar = if args.quiet || args.json { ProgressBar::hidden() } else { ProgressBar::new(1) };
    bar.set_style(ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {unit}, {{eta}} left"))?);
    Ok(bar.with_finish(ProgressFinish::AndClear))
}

/// Shows how much is done of what is planned so far.
pub(super) fn show(bar: &ProgressBar, done: u64, planned: u64) {
    bar.set_length(planned);
    bar.set_position(done);
}
