//! What a training run shows while it runs.

use std::io::IsTerminal;

use helmholtz_datasets::Plan;
use helmholtz_train::{Progress, Terminal};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::TrainArgs;
use crate::console::print;
use crate::error::user;

/// Where progress and lines go.
#[derive(Clone)]
pub(crate) enum Screen {
    /// Burn's dashboard, which uses the whole terminal. The terminal's earlier state is kept, to be restored.
    Dashboard(Terminal),
    /// Lines on standard error, above a progress bar if it is a terminal.
    Lines(ProgressBar),
}

impl Screen {
    /// Refuses a dashboard if there is no terminal.
    ///
    /// # Errors
    /// If `--tui` was given and standard output is not a terminal.
    pub(crate) fn check(args: &TrainArgs) -> anyhow::Result<()> {
        if args.tui && !std::io::stdout().is_terminal() {
            return Err(user(
                "--tui: standard output is not a terminal, and the dashboard needs one; leave --tui out",
            ));
        }
        Ok(())
    }

    /// The screen that the flags ask for.
    ///
    /// # Errors
    /// If the bar's template is wrong.
    pub(crate) fn new(args: &TrainArgs, plan: Plan) -> anyhow::Result<Self> {
        if args.tui {
            return Ok(Screen::Dashboard(Terminal::now()));
        }
        let quiet = args.quiet || args.json;
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(plan.steps) };
        bar.set_style(ProgressStyle::with_template("{bar:40} step {pos}/{len}, {eta} left")?);
        Ok(Screen::Lines(bar.with_finish(indicatif::ProgressFinish::AndClear)))
    }

    /// How the run reports its progress, from step `first` on.
    pub(crate) fn progress(&self, first: u64) -> Progress {
        match self {
            Screen::Dashboard(terminal) => Progress::Dashboard(terminal.clone()),
            Screen::Lines(bar) if bar.is_hidden() => Progress::Silent,
            Screen::Lines(bar) => {
                let bar = bar.clone().with_position(first);
                bar.reset_eta();
                Progress::Steps(Box::new(move |step| bar.set_position(step)))
            }
        }
    }

    /// Prints a line on standard error. With a dashboard it prints nothing, because the line would disturb the display.
    pub(crate) fn line(&self, line: &str) {
        match self {
            Screen::Dashboard(_) => {}
            Screen::Lines(bar) if bar.is_hidden() => print(line),
            Screen::Lines(bar) => bar.println(line),
        }
    }

    /// Restores the terminal.
    pub(crate) fn close(&self) {
        match self {
            Screen::Dashboard(terminal) => terminal.restore(),
            Screen::Lines(bar) => bar.finish_and_clear(),
        }
    }
}
