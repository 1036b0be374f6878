//! What `--help` adds to the definitions of commands: examples, and the headings of flags.

use clap::{Arg, Command};

/// Command lines that work as they are, or with a run folder of yours in place of `runs/deep`.
const EXAMPLES: [(&str, &[&str]); 18] = [
    (
        "train",
        &[
            "helmholtz train --layers 12 --epochs 50               # a small model of generated bars, in seconds",
            "helmholtz train configs/sbn-200-rws-mnist.toml --data-dir ~/data --out runs/digits",
            "helmholtz train --model nade --layers '' --dataset file:train.csv,valid.csv,test.csv",
            "helmholtz train --resume --out runs/digits --epochs 60",
        ],
    ),
    (
        "evaluate",
        &[
            "helmholtz evaluate runs/deep                          # 1000 importance samples per test row",
            "helmholtz evaluate runs/deep --error 0.05 --limit 500 # as many samples as an error of 0.05 nats needs",
            "helmholtz evaluate runs/deep --exact                  # enumerate all latent states",
        ],
    ),
    ("merge", &["helmholtz merge part-1.safetensors part-2.safetensors"]),
    (
        "compare",
        &[
            "helmholtz compare                                     # the built-in plan",
            "helmholtz compare configs/race-mnist.toml --seeds 1 --out runs/race",
            "helmholtz compare configs/race-mnist.toml --seeds 1 --out runs/race --resume",
        ],
    ),
    (
        "tune",
        &[
            "helmholtz tune configs/sbn-bars.toml --minutes 2 --out runs/search",
            "helmholtz tune configs/sbn-bars.toml --minutes 2 --out runs/search --resume",
        ],
    ),
    ("report", &["helmholtz report runs/rws runs/vimco --out both.html"]),
    ("sample", &["helmholtz sample runs/deep --n 100 --mean --out digits.png"]),
    ("inpaint", &["helmholtz inpaint runs/deep --mask bottom --out filled.gif"]),
    ("encode", &["helmholtz encode runs/deep --split test --out codes.npy"]),
    ("classify", &["helmholtz classify runs/deep --data rows.csv"]),
    ("reconstruct", &["helmholtz reconstruct runs/deep --n 20 --out there-and-back.png"]),
    ("filters", &["helmholtz filters runs/energy --units 100 --out filters.png"]),
    (
        "regimes",
        &[
            "helmholtz regimes equilibrium runs/energy             # chains from noise, compared with the data",
            "helmholtz regimes stages --steps 10000 --out stages.svg",
            "helmholtz regimes connectivity --epochs 10 --out edges.svg",
        ],
    ),
    ("export", &["helmholtz export runs/deep deep.safetensors"]),
    (
        "data",
        &[
            "helmholtz data list",
            "helmholtz data check file:rows.csv",
            "helmholtz data fetch mnist/binarized",
        ],
    ),
    (
        "models",
        &[
            "helmholtz models",
            "helmholtz models vae                                  # with every config key",
        ],
    ),
    ("doctor", &["helmholtz doctor --device cpu"]),
    ("serve", &["helmholtz serve --device cuda:0 --listen 127.0.0.1:3000"]),
];

/// Headings of the flags of one command.
const OWN_HEADINGS: [(&str, &str, &[&str]); 25] = [
    ("train", "Model and strategy", &["model", "layers", "strategy", "samples", "kernel", "init_from"]),
    ("train", "Training", &["epochs", "steps", "batch", "lr", "optimizer", "seed"]),
    ("train", "Run folder", &["out", "resume", "checkpoint_every", "no_test"]),
    ("train", "Other settings", &["set", "print_config"]),
    ("evaluate", "Samples", &["samples", "error", "max_samples", "defence", "check", "seed", "batch_rows"]),
    (
        "evaluate",
        "Method",
        &["method", "exact", "chains", "temperatures", "max_chains", "max_temperatures", "leapfrog", "base"],
    ),
    ("evaluate", "Bidirectional machines", &["as_model", "z_error", "z_samples"]),
    ("sample", "Samples", &["n", "seed", "mean"]),
    ("sample", "Chains", &["as_model", "sampler", "temperatures", "oversample", "keep_chains"]),
    ("inpaint", "Pictures", &["mask", "n", "bits", "frames"]),
    ("inpaint", "Chains", &["as_model", "seed"]),
    ("reconstruct", "Pictures", &["n"]),
    ("filters", "Pictures", &["units", "order"]),
    ("compare", "Seeds", &["seeds", "seed"]),
    ("compare", "Court", &["precision", "max_estimates"]),
    ("tune", "Search", &["minutes", "max_steps", "seed"]),
    ("tune", "Other settings", &["set"]),
    ("equilibrium", "Chains", &["chains", "seed"]),
    ("stages", "Model and strategy", &["hidden", "strategy"]),
    ("stages", "Training", &["epochs", "steps", "batch", "lr", "seed"]),
    ("stages", "Other settings", &["set"]),
    ("connectivity", "Model and strategy", &["hidden", "strategy", "share"]),
    ("connectivity", "Training", &["epochs", "steps", "batch", "lr", "seed"]),
    ("connectivity", "Likelihood", &["temperatures"]),
    ("connectivity", "Other settings", &["set"]),
];

/// Headings of the other flags of all commands with at least [`MANY`] flags.
const HEADINGS: [(&str, &[&str]); 5] = [
    ("Weights", &["weights", "config", "epoch"]),
    ("Chains", &["sweeps", "proposals", "inner"]),
    ("Data", &["dataset", "data_dir", "data", "split", "limit"]),
    ("Device", &["device", "threads"]),
    ("Output", &["out", "scale", "shard", "per_example", "resume", "tui", "no_tui", "quiet", "json"]),
];

/// A command with fewer flags has no headings.
const MANY: usize = 8;

fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_positional())
}

/// The heading of a flag.
fn heading(command: &str, flag: &str) -> Option<&'static str> {
    let own = OWN_HEADINGS.iter().find(|(name, _, flags)| *name == command && flags.contains(&flag));
    let shared = || HEADINGS.iter().find(|(_, flags)| flags.contains(&flag)).map(|(heading, _)| *heading);
    own.map(|(_, heading, _)| *heading).or_else(shared)
}

/// The commands with examples and headings.
pub(super) fn with_guide(program: Command) -> Command {
    let program = EXAMPLES.into_iter().fold(program, |program, (name, lines)| {
        let text = format!("Examples:\n  {}", lines.join("\n  "));
        program.mut_subcommand(name, |command| command.after_help(text))
    });
    program.mut_subcommands(with_headings)
}

/// The command and those below it with headings.
fn with_headings(command: Command) -> Command {
    let command = command.mut_subcommands(with_headings);
    if flags(&command).count() < MANY {
        return command;
    }
    let name = command.get_name().to_owned();
    command.mut_args(|arg| match heading(&name, arg.get_id().as_str()) {
        Some(heading) if !arg.is_positional() => arg.help_heading(heading),
        _ => arg, // under `Arguments` or, for --help, `Options`
    })
}

#[cfg(test)]
mod tests {
    use crate::args::Args;

    use super::*;

    /// All commands below one.
    fn below(program: &Command) -> Vec<&Command> {
        program.get_subcommands().flat_map(|command| [vec![command], below(command)].concat()).collect()
    }

    #[test]
    fn every_flag_of_a_command_with_many_stands_under_a_heading() {
        for command in below(&Args::described()) {
            let is_long = flags(command).count() >= MANY;
            for flag in flags(command).filter(|_| is_long) {
                let (command, flag) = (command.get_name(), flag.get_id());
                assert!(heading(command, flag.as_str()).is_some(), "{command} --{flag} has no heading");
            }
        }
        let program = Args::described();
        for (name, _, ids) in OWN_HEADINGS {
            let command = below(&program).into_iter().find(|command| command.get_name() == name).unwrap();
            assert!(ids.iter().all(|id| flags(command).any(|flag| flag.get_id() == id)), "{name}: {ids:?}");
        }
    }

    #[test]
    fn every_command_but_devices_has_examples_and_they_parse() {
        let program = Args::described();
        for command in program.get_subcommands() {
            let name = command.get_name();
            let has = EXAMPLES.iter().any(|(other, _)| *other == name);
            assert!(has || name == "devices", "{name} has no example");
        }
        for line in EXAMPLES.iter().flat_map(|(_, lines)| *lines) {
            let line = line.split(" # ").next().unwrap();
            let words = shlex::split(line).unwrap();
            let error = Args::try_of_words(words.into_iter().map(Into::into)).err();
            assert!(error.is_none(), "{line}: {}", error.unwrap());
        }
    }
}
