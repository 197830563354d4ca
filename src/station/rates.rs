//! Rates of `stats` over moving windows, from counters sampled at any times. Pure: times are handed in.

use std::{collections::VecDeque, time::Duration};

use super::Stats;

/// Window of the frame rate.
const FRAME_RATE_WINDOW: Duration = Duration::from_secs(10);

/// Window of the cell rate.
const CELL_RATE_WINDOW: Duration = Duration::from_secs(60);

/// Keeps the samples of the last minute.
#[derive(Debug, Default)]
pub struct Rates {
    samples: VecDeque<(Duration, Stats)>,
}

impl Rates {
    /// Fills in the rates of `stats`, taken `now` after the start, and keeps it as a sample.
    pub fn fill(&mut self, stats: &mut Stats, now: Duration) {
        // One sample older than the window stays, so that the window is whole.
        while self.samples.len() > 1 && self.samples[1].0 + CELL_RATE_WINDOW < now {
            self.samples.pop_front();
        }
        if let Some((then, before)) = self.since(now, CELL_RATE_WINDOW) {
            let cells = stats.cells_stored.saturating_sub(before.cells_stored);
            stats.cells_per_min = cells as f64 / (now - then).as_secs_f64() * 60.0;
        }
        if let Some((then, before)) = self.since(now, FRAME_RATE_WINDOW) {
            for (name, source) in &mut stats.sources {
                let accepted = before.sources.get(name).map_or(0, |s| s.accepted);
                source.frames_per_s = source.accepted.saturating_sub(accepted) as f64 / (now - then).as_secs_f64();
            }
        }
        self.samples.push_back((now, stats.clone()));
    }

    /// The newest sample that is at least `window` old, or the oldest there is.
    fn since(&self, now: Duration, window: Duration) -> Option<(Duration, &Stats)> {
        let old_enough = self.samples.iter().rev().find(|(then, _)| *then + window <= now);
        let (then, stats) = old_enough.or(self.samples.front())?;
        (*then < now).then_some((*then, stats))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::SourceStats;

    fn stats(accepted: u64, cells_stored: u64) -> Stats {
        let sources = [("scope".to_owned(), SourceStats { accepted, ..SourceStats::default() })].into();
        Stats { sources, cells_stored, ..Stats::default() }
    }

    #[test]
    fn rates_are_those_of_their_window() {
        let mut rates = Rates::default();
        let mut last = Stats::default();
        // 20 frames/s and a cell a second for two minutes, then silence for 10 s.
        for second in 0..=130_u64 {
            let counted = second.min(120);
            last = stats(20 * counted, counted);
            rates.fill(&mut last, Duration::from_secs(second));
            if second == 100 {
                assert!((last.sources["scope"].frames_per_s - 20.0).abs() < 1e-9, "{last:?}");
                assert!((last.cells_per_min - 60.0).abs() < 1e-9, "{last:?}");
            }
        }
        assert_eq!(last.sources["scope"].frames_per_s, 0.0);
        assert!((last.cells_per_min - 50.0).abs() < 1e-9, "{last:?}");
        assert!(rates.samples.len() < 65, "old samples go");
    }
}
