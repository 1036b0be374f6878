//! Whether anybody else is using the processors.

use std::thread::sleep;
use std::time::Duration;

use crate::exit::progress;

/// Above this share of busy processors, times say more about the others than about us: threads that
/// meet at a barrier wait for the one that was interrupted.
const TOLERATED: f64 = 0.1;

/// Warns if the processors are busy while this process is idle, where the system tells.
pub(crate) fn warn_of_others() {
    let before = busy_and_total();
    sleep(Duration::from_millis(500));
    let (Some((busy, total)), Some((busy_now, total_now))) = (before, busy_and_total()) else { return };
    let share = (busy_now - busy) / (total_now - total).max(1.0);
    if share > TOLERATED {
        progress(&format!(
            "warning: other programs keep {:.0} % of the processors busy; do not trust these times, and those of \
             the peers least of all",
            100.0 * share
        ));
    }
}

/// Ticks since the start of the system, of all processors together.
fn busy_and_total() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    // user, nice, system, idle, waiting for the disk, and kinds of interrupts; guests count as user.
    let total: f64 = ticks.iter().take(8).sum();
    Some((total - ticks.get(3)? - ticks.get(4)?, total))
}
