//! A floor for the speed of a transfer.

use std::io::{self, Read};
use std::time::{Duration, Instant};

/// A reader that fails where its bytes come too slowly. One that sends nothing at all is not seen here, but by the
/// time-out of a read.
pub(super) struct Paced<R> {
    from: R,
    /// Bytes a second.
    floor: u64,
    window: Duration,
    since: Instant,
    bytes: u64,
}

impl<R: Read> Paced<R> {
    /// Reads from `from`, on average at least `floor` bytes a second over each `window`.
    pub(super) fn new(from: R, floor: u64, window: Duration) -> Self {
        Paced { from, floor, window, since: Instant::now(), bytes: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.bytes += n as u64;
        let elapsed = self.since.elapsed();
        // An end is an end, however long it took.
        if n > 0 && elapsed >= self.window {
            if (self.bytes as f64) < self.floor as f64 * elapsed.as_secs_f64() {
                let problem =
                    format!("{} bytes in {:.1?}, below {} a second", self.bytes, elapsed, self.floor);
                return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
            }
            (self.since, self.bytes) = (Instant::now(), 0);
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte every ten milliseconds.
    struct Drip;

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_millis(10));
            buffer[0] = b'0';
            Ok(1)
        }
    }

    #[test]
    fn a_reader_below_the_floor_fails_and_one_above_it_goes_on() {
        let read = |floor, most: u64| {
            let mut paced = Paced::new(Drip.take(most), floor, Duration::from_millis(50));
            io::copy(&mut paced, &mut io::sink())
        };
        let error = read(10_000, u64::MAX).unwrap_err();
        assert!(error.to_string().contains("below 10000 a second"), "{error}");
        assert_eq!(read(1, 20).unwrap(), 20);
        assert_eq!(read(10_000, 3).unwrap(), 3, "over before the first window is");
    }
}
