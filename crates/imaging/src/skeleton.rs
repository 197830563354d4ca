//! Thinning to lines one pixel wide (Zhang and Suen 1984), then to 8-connected lines without corners.

/// Scratch of [`thin`].
#[derive(Debug, Clone, Default)]
pub struct SkeletonScratch {
    alive: Vec<u32>,
    gone: Vec<u32>,
}

/// Neighbours clockwise from above.
pub(super) fn around(i: usize, width: usize) -> [usize; 8] {
    [i - width, i - width + 1, i + 1, i + width + 1, i + width, i + width - 1, i - 1, i - width - 1]
}

/// Thins `mask` (0 and 1, with a margin of at least one background pixel on every side) in place. Only pixels still
/// alive are looked at, so time goes with area times half the thickness.
pub fn thin(mask: &mut [u8], width: usize, scratch: &mut SkeletonScratch) {
    let alive = &mut scratch.alive;
    alive.clear();
    alive.extend(mask.iter().enumerate().filter(|&(_, &m)| m != 0).map(|(i, _)| i as u32));
    loop {
        let mut changed = false;
        for second in [false, true] {
            scratch.gone.clear();
            for &i in alive.iter() {
                let i = i as usize;
                let n = around(i, width).map(|j| mask[j]);
                let count: u8 = n.iter().sum();
                if !(2..=6).contains(&count) || crossings(&n) != 1 {
                    continue;
                }
                let [p2, _, p4, _, p6, _, p8, _] = n;
                let go = if second {
                    p2 * p4 * p8 == 0 && p2 * p6 * p8 == 0
                } else {
                    p2 * p4 * p6 == 0 && p4 * p6 * p8 == 0
                };
                if go {
                    scratch.gone.push(i as u32);
                }
            }
            for &i in &scratch.gone {
                mask[i as usize] = 0;
            }
            if !scratch.gone.is_empty() {
                changed = true;
                alive.retain(|&i| mask[i as usize] != 0);
            }
        }
        if !changed {
            break;
        }
    }
    // Corners of staircases: a pixel whose going leaves its neighbours joined.
    for &i in alive.iter() {
        let i = i as usize;
        let n = around(i, width).map(|j| mask[j]);
        let [p2, p3, p4, p5, p6, p7, p8, p9] = n;
        let corner = (p2 & p4 & (1 - p7) & (1 - p6) & (1 - p8))
            | (p4 & p6 & (1 - p9) & (1 - p8) & (1 - p2))
            | (p6 & p8 & (1 - p3) & (1 - p2) & (1 - p4))
            | (p8 & p2 & (1 - p5) & (1 - p4) & (1 - p6));
        if corner != 0 {
            mask[i] = 0;
        }
    }
}

/// Changes from 0 to 1 around a pixel.
pub(super) fn crossings(n: &[u8; 8]) -> u8 {
    (0..8).map(|k| u8::from(n[k] == 0 && n[(k + 1) % 8] != 0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_becomes_a_line() {
        let (w, h) = (40, 13);
        let mut mask = vec![0u8; w * h];
        for y in 3..10 {
            mask[y * w + 3..y * w + 37].fill(1);
        }
        thin(&mut mask, w, &mut SkeletonScratch::default());
        let n = mask.iter().filter(|&&m| m != 0).count();
        assert!((26..=36).contains(&n), "{n}");
        for x in 8..32 {
            assert_eq!((0..h).filter(|y| mask[y * w + x] != 0).count(), 1);
        }
    }
}
