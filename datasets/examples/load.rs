//! Loads a data set and prints the time and memory that it took:
//! `cargo run --release --example load -- mnist/binarized DATA_DIR`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let id = arguments.next().ok_or("usage: load ID [DATA_DIR]")?;
    let data_dir = arguments.next().map(PathBuf::from);
    let start = Instant::now();
    let set = helmholtz_datasets::load(&id, data_dir.as_deref())?;
    println!("{}: {:.3} s, data_sha256 {}", set.protocol(), start.elapsed().as_secs_f64(), set.data_sha256);
    // The peak memory of the process, if the system reports it.
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("{line}"));
    }
    Ok(())
}
