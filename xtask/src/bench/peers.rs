//! PyTorch, JAX, NumPy and scikit-learn, as long-lived processes that take steps on command.
//!
//! The protocol is described in `xtask/peers/serve.py`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::bench::report::Row;
use crate::exit::{Reported, progress};
use crate::workspace;

/// PyTorch and JAX, as they are used.
pub(crate) const FRAMEWORKS: [&str; 3] = ["torch-eager", "torch-compile", "jax"];

/// A framework that waits for commands. Its process ends with it.
pub(crate) struct Peer {
    /// The framework, and how it is used.
    name: &'static str,
    /// The framework's version.
    version: String,
    process: Child,
    commands: ChildStdin,
    replies: BufReader<ChildStdout>,
    log: PathBuf,
    /// The times of its steps so far, in milliseconds.
    steps: Vec<f64>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts the peers `names` of a script in `xtask/peers`, and returns them warmed up and idle; `arguments` are flags
/// with their values.
pub(crate) fn start(
    script: &str,
    names: &[&'static str],
    arguments: &[(&str, OsString)],
    threads: usize,
) -> anyhow::Result<Vec<Peer>> {
    let folder = workspace::root().join("xtask/peers");
    let cache = cache()?;
    let python = set_up(&folder, &cache)?;
    // One after the other: in a common warm-up they would compete for the cores, since their idle threads spin.
    let mut peers = Vec::new();
    for &name in names {
        progress(&format!("peers: starting {name}"));
        let mut command = Command::new(&python);
        command.arg(folder.join(script)).args(["--framework", name, "--threads", &threads.to_string()]);
        for (flag, value) in arguments {
            command.arg(flag).arg(value);
        }
        let mut peer = Peer::spawn(name, command, &cache)?;
        let ready = peer.reply()?;
        let version = ready.get("version").and_then(Value::as_str).unwrap_or("of unknown version");
        let package = name.split('-').next().unwrap_or(name);
        peer.version = format!("{package} {version}");
        peers.push(peer);
    }
    Ok(peers)
}

/// Where the peers' environment is kept from one run to the next.
fn cache() -> anyhow::Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .context("no folder for the peers: set XDG_CACHE_HOME or HOME to an absolute path")?;
    let cache = cache.join("helmholtz/peers");
    fs::create_dir_all(&cache).with_context(|| format!("cannot make the folder {}", cache.display()))?;
    Ok(cache)
}

/// Sets up the peers' environment and returns the path of its python.
fn set_up(folder: &Path, cache: &Path) -> anyhow::Result<String> {
    let output = Command::new("bash")
        .arg(folder.join("setup.sh"))
        .arg(cache)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start bash, which sets up the peers")?;
    if !output.status.success() {
        return Err(Reported(1).into()); // setup.sh has said why
    }
    Ok(String::from_utf8(output.stdout)
        .context("the path of the peers' python is not UTF-8")?
        .trim_end()
        .to_string())
}

impl Peer {
    fn spawn(name: &'static str, mut command: Command, cache: &Path) -> anyhow::Result<Peer> {
        let log = cache.join(format!("{name}.log"));
        let stderr = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let (Some(commands), Some(replies)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("{name} was started without pipes");
        };
        let replies = BufReader::new(replies);
        Ok(Peer { name, version: String::new(), process, commands, replies, log, steps: Vec::new() })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// A row with the times of this peer for `what`.
    pub(crate) fn row(&self, what: &str, against: &'static str, ms: Vec<f64>) -> Row {
        let name = format!("{what}/{}", self.name);
        Row { name, against, device: "cpu", version: self.version.clone(), ms, extra: Vec::new() }
    }

    /// A row of its steps.
    pub(crate) fn row_of_steps(&self, what: &str, against: &'static str) -> Row {
        self.row(what, against, self.steps.clone())
    }

    /// Takes `steps` steps.
    pub(crate) fn take_steps(&mut self, steps: usize) -> anyhow::Result<()> {
        let times = self.times(&format!("run {steps}"))?;
        self.steps.extend(times);
        Ok(())
    }

    /// The answer to a command.
    pub(crate) fn ask(&mut self, command: &str) -> anyhow::Result<Value> {
        if writeln!(self.commands, "{command}").and_then(|()| self.commands.flush()).is_err() {
            bail!("{} has ended; its log is {}", self.name, self.log.display());
        }
        let reply = self.reply()?;
        if reply.get("error").is_some() {
            bail!("{} answered `{command}` with {reply}", self.name);
        }
        Ok(reply)
    }

    /// The times in the answer to a command, in milliseconds.
    pub(crate) fn times(&mut self, command: &str) -> anyhow::Result<Vec<f64>> {
        let reply = self.ask(command)?;
        let times = reply.get("ms").and_then(Value::as_array);
        let times = times.and_then(|times| times.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
        match times {
            Some(times) if !times.is_empty() => Ok(times),
            _ => bail!("{} answered `{command}` with {reply}", self.name),
        }
    }

    fn reply(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        let read =
            self.replies.read_line(&mut line).with_context(|| format!("cannot read from {}", self.name))?;
        if read == 0 {
            bail!("{} has ended; its log is {}", self.name, self.log.display());
        }
        serde_json::from_str(&line).with_context(|| format!("{} answered {}", self.name, line.trim_end()))
    }
}
