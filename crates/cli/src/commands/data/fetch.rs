//! `helmholtz data fetch`.

use std::process::ExitCode;

use helmholtz_datasets::fetch::{Event, Origin, Rules, fetch};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::args::FetchArgs;
use crate::console::say;
use crate::error::{OrUser, user};

/// Downloads the missing files of a data set, and verifies the set.
pub(super) fn run(args: &FetchArgs) -> anyhow::Result<ExitCode> {
    if args.id.starts_with("file:") {
        return Err(user(format!("{}: these are your own files; there is nothing to fetch", args.id)));
    }
    let entry = helmholtz_datasets::entry(&args.id).or_user()?;
    let folder = helmholtz_datasets::data_dir(args.data_dir.as_deref());
    let origin = args.from.clone().map_or(Origin::Mirrors, Origin::From);
    // The user may give any address, because the values are checked against the hash.
    let rules = Rules { https_only: args.from.is_none(), ..Rules::default() };
    let quiet = args.quiet || args.json;
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    bar.set_style(ProgressStyle::with_template(
        "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
    )?);
    let tell = |line: String| {
        if !quiet {
            bar.suspend(|| eprintln!("{line}"));
        }
    };
    let fetched = fetch(entry, &folder, &origin, &rules, &mut |event| match event {
        Event::Bytes { name, here, total } => {
            bar.set_message(name);
            bar.set_length(total.unwrap_or(here));
            bar.set_position(here);
        }
        Event::Arrived(name) => tell(format!("{name} downloaded")),
        Event::Failed(error) => tell(format!("trying the next address: {error}")),
        Event::Refused(error) => tell(format!("trying other addresses: {error}")),
    });
    bar.finish_and_clear();
    let fetched = fetched.map_err(|error| match error.is_of_the_request() {
        true => user(error),
        false => anyhow::Error::new(error),
    })?;
    let (set, pinned) = (&fetched.set, entry.sha256.is_some());
    let files: Vec<String> = fetched.new_files.iter().map(|path| path.display().to_string()).collect();
    if args.json {
        say!(
            "{}",
            json!({"protocol": set.protocol(), "data_sha256": set.data_sha256, "pinned": pinned, "files": files})
        );
        return Ok(ExitCode::SUCCESS);
    }
    for file in &files {
        say!("{file}");
    }
    let new = if files.is_empty() { "was there already" } else { "is there" };
    let against = if pinned { "the protocol's" } else { "not pinned: only the sizes could be checked" };
    say!("{} {new}; data_sha256 {} ({against})", set.protocol(), set.data_sha256);
    Ok(ExitCode::SUCCESS)
}
