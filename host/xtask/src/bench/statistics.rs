//! Many measurements as one number.

use std::time::Duration;

/// Returns the value that this part of the samples does not exceed (nearest rank), or zero
/// if there is none.
pub(super) fn percentile(samples: &[f64], percent: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let below = sorted.iter().zip(1_u32..).find(|(_, rank)| {
        let part = f64::from(*rank) / samples.len() as f64;
        // A hair of tolerance: 0.99 times 100 is not 99 in binary.
        part * 100.0 + 1e-9 >= percent
    });
    below.map_or(0.0, |(sample, _)| *sample)
}

/// Returns the value in the middle.
pub(super) fn median(samples: &[f64]) -> f64 {
    percentile(samples, 50.0)
}

/// A time in milliseconds.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_samples_does_not_matter() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.0, "nearest rank takes the lower one");
        assert_eq!(median(&[7.5]), 7.5);
    }

    #[test]
    fn of_a_hundred_one_is_above_the_99th_percentile() {
        let samples: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&samples, 99.0), 99.0);
        assert_eq!(percentile(&samples, 50.0), 50.0);
        assert_eq!(percentile(&samples, 100.0), 100.0);
        assert_eq!(percentile(&samples[..10], 99.0), 10.0);
    }

    #[test]
    fn nothing_was_measured() {
        assert_eq!(percentile(&[], 50.0), 0.0);
    }

    #[test]
    fn a_time_has_parts_of_a_millisecond() {
        assert_eq!(millis(Duration::from_micros(1_250)), 1.25);
    }
}
