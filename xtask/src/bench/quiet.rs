//! Whether other programs are using the CPUs.

use std::thread::sleep;
use std::time::Duration;

use crate::exit::progress;

/// Above this share of busy CPUs, times say more about other programs than about ours: threads that
/// meet at a barrier wait for the one that was interrupted.
const TOLERATED: f64 = 0.1;

/// Warns if the CPUs are busy while this process is idle, if the system reports it.
pub(crate) fn warn_of_others() {
    let before = busy_and_total();
    sleep(Duration::from_millis(500));
    let (Some((busy, total)), Some((busy_now, total_now))) = (before, busy_and_total()) else { return };
    let share = (busy_now - busy) / (total_now - total).max(1.0);
    if share > TOLERATED {
        progress(&format!(
            "warning: other programs keep the CPUs {:.0} % busy; do not trust these times, least of all those of the \
             peers",
            100.0 * share
        ));
    }
}

/// Busy and total ticks since the start of the system, of all CPUs together.
fn busy_and_total() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    // user, nice, system, idle, waiting for the disk, and kinds of interrupts; guests count as user.
    let total: f64 = ticks.iter().take(8).sum();
    Some((total - ticks.get(3)? - ticks.get(4)?, total))
}
