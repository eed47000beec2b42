//! Times, counted so that any share of them can be told afterwards. Pure.

use std::time::Duration;

/// Counts times in buckets whose width grows with the time: at most 0.8 % wide, of any size.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// Buckets for each doubling, as a power of two.
    const BITS: u32 = 7;

    pub(crate) fn new() -> Self {
        let highest = Self::bucket(u64::MAX);
        Histogram {
            counts: vec![0; highest + 1],
            total: 0,
            max: 0,
        }
    }

    fn bucket(nanoseconds: u64) -> usize {
        let shift = (63 - (nanoseconds | 1).leading_zeros()).saturating_sub(Self::BITS);
        ((shift as usize) << Self::BITS) + (nanoseconds >> shift) as usize
    }

    /// The middle of a bucket.
    fn middle(bucket: usize) -> u64 {
        let shift = (bucket >> Self::BITS).saturating_sub(1);
        let base = (bucket - (shift << Self::BITS)) as u64;
        (base << shift) + (1 << shift) / 2
    }

    #[inline]
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.counts[Self::bucket(nanoseconds)] += 1;
        self.total += 1;
        self.max = self.max.max(nanoseconds);
    }

    /// The time that `share` (0 to 1) of all recorded ones do not exceed; `None` where nothing is
    /// recorded.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(Duration::from_nanos(Self::middle(bucket).min(self.max)));
            }
        }
        None
    }

    /// The longest recorded time; `None` where nothing is recorded.
    pub(crate) fn max(&self) -> Option<Duration> {
        (self.total > 0).then(|| Duration::from_nanos(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_one_percent_off() {
        let mut histogram = Histogram::new();
        for microseconds in 1..=100_000 {
            histogram.record(microseconds * 1_000);
        }
        for (share, expected) in [(0.5, 50e-3), (0.99, 99e-3), (1.0, 100e-3)] {
            let found = histogram.quantile(share).unwrap().as_secs_f64();
            assert!(
                (found / expected - 1.0).abs() < 0.01,
                "{share}: {found} instead of {expected}"
            );
        }
        assert_eq!(histogram.max(), Some(Duration::from_millis(100)));
        assert_eq!(Histogram::new().quantile(0.5), None);
    }
}
