//! The reference of commands, from the definitions that parse them.

use std::fmt::Write;

use clap::{Arg, Command};
use helmholtz_cli::args;

use super::cell::cell;

pub(super) fn page() -> String {
    let mut text = String::from(
        "# Commands\n\n\
         `cargo xtask book` wrote this page from the definitions that parse the command line.\n\
         `helmholtz COMMAND --help` shows the same.\n",
    );
    let mut program = args::Args::described();
    program.build();
    describe(&mut text, &program, "helmholtz");
    text += "\nNext: [config keys](config.md), [the run folder](run-folder.md), [JSON output](json.md).\n";
    text
}

fn describe(text: &mut String, command: &Command, name: &str) {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let about = about.trim();
    let stop = if about.ends_with(['.', ':']) { "" } else { "." };
    let _ = writeln!(text, "\n## `{name}`\n\n{}{stop}", about.replace('<', "&lt;"));
    let shown = |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    let arguments: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    if !arguments.is_empty() {
        text.push_str("\n| argument | |\n| --- | --- |\n");
    }
    for arg in arguments {
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        let takes_value = arg.get_action().takes_values();
        let default = match defaults.join(" ") {
            default if default.is_empty() || !takes_value => String::new(),
            default => format!(" [default: {default}]"),
        };
        let _ = writeln!(text, "| `{}` | {}{default} |", signature(arg, takes_value), cell(&help));
    }
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        describe(text, command, &format!("{name} {}", command.get_name()));
    }
}

/// As in `--out DIR`.
fn signature(arg: &Arg, takes_value: bool) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let value = names.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ");
    match arg.get_long() {
        Some(long) if takes_value => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    }
    .replace('|', "\\|")
}
