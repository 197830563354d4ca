//! What is known of the metaphases on one slide: found in search frames, or recognised; ranked, so that a scanner
//! drives to the best first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::station::FoundSpread;
use domain::NOTICE;

/// Most metaphases in a message; the others are counted.
const MOST: usize = 1000;

/// The `slide/1` message: the ranked metaphases of a slide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlideState {
    /// `slide/1`.
    pub schema: String,
    /// Station.
    pub station: String,
    /// Slide.
    pub slide: String,
    /// When it was written, RFC 3339 in UTC.
    pub time: String,
    /// Metaphases that are known, those left out of the list included.
    pub total: u64,
    /// The best first, at most 1000.
    pub metaphases: Vec<RankedSpread>,
    /// Research use only.
    pub notice: String,
}

/// One metaphase of a slide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankedSpread {
    /// Its place, from 1.
    pub rank: u32,
    /// What is known of it.
    #[serde(flatten)]
    pub seen: SeenSpread,
}

/// A metaphase on a slide, as one frame or several show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeenSpread {
    /// What the best frame shows.
    #[serde(flatten)]
    pub found: FoundSpread,
    /// Cells that were recognised there.
    #[serde(default)]
    pub cells: Vec<Uuid>,
}

/// The metaphases of one slide.
#[derive(Debug, Clone, Default)]
pub struct SlideMap {
    known: Vec<SeenSpread>,
}

/// Whether two finds are one metaphase: the middle of one lies within the other.
fn is_same(a: &FoundSpread, b: &FoundSpread) -> bool {
    let apart = [(a.stage_um.x - b.stage_um.x).abs(), (a.stage_um.y - b.stage_um.y).abs()];
    [a, b].into_iter().any(|of| apart[0] < of.size_um[0] / 2.0 && apart[1] < of.size_um[1] / 2.0)
}

impl SlideMap {
    /// Takes a find. One that shows a metaphase that is known already stands for it when it shows it better: whole rather
    /// than cut, recognised rather than found, then by score.
    pub fn put(&mut self, mut seen: SeenSpread) {
        let better = |seen: &SeenSpread| (!seen.found.cut, !seen.cells.is_empty());
        // What joins two that were apart until now joins them all.
        self.known.retain_mut(|known| {
            if !is_same(&known.found, &seen.found) {
                return true;
            }
            if (better(known), known.found.score) > (better(&seen), seen.found.score) {
                seen.found = known.found.clone();
            }
            for cell in std::mem::take(&mut known.cells) {
                if !seen.cells.contains(&cell) {
                    seen.cells.push(cell);
                }
            }
            false
        });
        self.known.push(seen);
    }

    /// The message.
    pub fn state(&self, station: &str, slide: &str, time: &str) -> SlideState {
        let mut ranked: Vec<&SeenSpread> = self.known.iter().collect();
        ranked.sort_by(|a, b| b.found.score.total_cmp(&a.found.score));
        let metaphases = ranked.iter().zip(1..).take(MOST);
        SlideState {
            schema: "slide/1".into(),
            station: station.into(),
            slide: slide.into(),
            time: time.into(),
            total: self.known.len() as u64,
            metaphases: metaphases.map(|(seen, rank)| RankedSpread { rank, seen: (*seen).clone() }).collect(),
            notice: NOTICE.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Quality, StagePosition};

    fn seen(x: f64, score: f32, cut: bool, cells: &[u128]) -> SeenSpread {
        let found = FoundSpread {
            stage_um: StagePosition { x, y: 0.0, z: None },
            size_um: [60.0, 60.0],
            score,
            quality: Quality::default(),
            cut,
            source: "coarse".into(),
            frame: 1,
            trigger: None,
            time: String::new(),
        };
        SeenSpread { found, cells: cells.iter().map(|id| Uuid::from_u128(*id)).collect() }
    }

    fn places(map: &SlideMap) -> Vec<(f64, usize)> {
        let state = map.state("s", "1", "t");
        assert_eq!(state.total, state.metaphases.len() as u64);
        state.metaphases.iter().map(|m| (m.seen.found.stage_um.x, m.seen.cells.len())).collect()
    }

    #[test]
    fn one_metaphase_in_several_frames_is_one_place() {
        let mut map = SlideMap::default();
        for find in [seen(0.0, 0.9, true, &[]), seen(20.0, 0.4, false, &[]), seen(100.0, 0.5, false, &[])] {
            map.put(find);
        }
        assert_eq!(places(&map), [(100.0, 0), (20.0, 0)], "the whole one stands for the cut one");
        map.put(seen(22.0, 0.3, false, &[1]));
        map.put(seen(23.0, 0.2, false, &[2]));
        assert_eq!(places(&map), [(100.0, 0), (22.0, 2)], "the recognised one stands for the found one");
        map.put(seen(22.0, 0.3, false, &[1]));
        assert_eq!(places(&map), [(100.0, 0), (22.0, 2)], "nothing is counted twice");
    }
}
