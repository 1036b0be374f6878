//! `helmholtz data show`.

use std::process::ExitCode;

use helmholtz_datasets::{SplitName, load};

use crate::args::ShowArgs;
use crate::commands::sample;
use crate::commands::score::chosen_rows;
use crate::config::count;
use crate::console::say;
use crate::error::{OrUser, user};
use crate::memory_limit::{self, Limit};
use crate::output::Output;

/// Writes a contact sheet of rows in the order of the file. Which rows depends only on the protocol.
pub(super) fn run(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let split: SplitName = args.split.parse().or_user()?;
    let n = count("--n", args.n)?;
    if n == 0 {
        return Err(user("--n 0: must be at least 1"));
    }
    let out = Output::named("--out", &args.out, &sample::ENDINGS)?;
    let set = load(&args.id, args.data_dir.as_deref()).or_user()?;
    let rows = chosen_rows(&set, split, Some(n));
    let values: Vec<f32> = rows.iter().flat_map(|row| set.split(split).row(*row)).collect();
    let scale = sample::scale(args.scale, &out, set.shape)?;
    if let Some(scale) = scale {
        memory_limit::of_sheet(set.shape, rows.len(), scale).check(Limit::of_processor())?;
    }
    sample::write(&out, set.shape, set.train.width(), &values, scale)?;
    say!("{} rows of {} {split}: {}", rows.len(), set.protocol(), args.out.display());
    Ok(ExitCode::SUCCESS)
}
