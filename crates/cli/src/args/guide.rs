//! What `--help` adds to the definitions of commands: examples, and the headings of flags.

use clap::Command;

/// Command lines that work as they are, or with a run folder of yours in place of `runs/deep`.
const EXAMPLES: [(&str, &[&str]); 15] = [
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
    ("report", &["helmholtz report runs/rws runs/vimco --out both.html"]),
    ("sample", &["helmholtz sample runs/deep --n 100 --mean --out digits.png"]),
    ("inpaint", &["helmholtz inpaint runs/deep --mask bottom --out filled.gif"]),
    ("encode", &["helmholtz encode runs/deep --split test --out codes.npy"]),
    ("classify", &["helmholtz classify runs/deep --data rows.csv"]),
    ("reconstruct", &["helmholtz reconstruct runs/deep --n 20 --out there-and-back.png"]),
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

/// Headings of flags, by command; the others stand under `Options`.
const HEADINGS: [(&str, &str, &[&str]); 11] = [
    ("train", "Model and strategy", &["model", "layers", "strategy", "samples", "kernel", "init_from"]),
    ("train", "Data", &["dataset", "data_dir"]),
    ("train", "Training", &["epochs", "steps", "batch", "lr", "optimizer", "seed"]),
    ("train", "Device", &["device", "threads"]),
    ("train", "Run folder", &["out", "resume", "checkpoint_every"]),
    ("train", "Other settings", &["set", "print_config"]),
    ("train", "Output", &["tui", "quiet", "json"]),
    ("evaluate", "Samples", &["samples", "error", "max_samples", "defence", "check", "seed", "batch_rows"]),
    ("evaluate", "Method", &["method", "exact", "chains", "temperatures", "leapfrog"]),
    ("evaluate", "Bidirectional machines", &["as_model", "z_error", "z_samples"]),
    ("evaluate", "Output", &["per_example", "shard", "out", "quiet", "json"]),
];

/// The commands with examples and headings.
pub(super) fn with_guide(program: Command) -> Command {
    let program = EXAMPLES.into_iter().fold(program, |program, (name, lines)| {
        let text = format!("Examples:\n  {}", lines.join("\n  "));
        program.mut_subcommand(name, |command| command.after_help(text))
    });
    HEADINGS.into_iter().fold(program, |program, (name, heading, ids)| {
        program.mut_subcommand(name, |command| {
            ids.iter().fold(command, |command, id| command.mut_arg(*id, |arg| arg.help_heading(heading)))
        })
    })
}

#[cfg(test)]
mod tests {
    use crate::args::Args;

    use super::*;

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
