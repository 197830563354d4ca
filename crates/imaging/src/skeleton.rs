//! Thinning to lines one pixel wide (Zhang and Suen 1984), then to 8-connected lines without corners.

/// Scratch of [`thin`].
#[derive(Debug, Clone, Default)]
pub struct SkeletonScratch {
    alive: Vec<u32>,
    gone: Vec<u32>,
}

/// Whether a pixel with each of the 256 sets of neighbours (bit 0 above, then clockwise) goes: bit 0 in the first half of a round,
/// bit 1 in the second.
const GOES: [u8; 256] = goes();

const fn goes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut set = 0;
    while set < 256 {
        let (mut count, mut crossings, mut k) = (0, 0, 0);
        while k < 8 {
            let (here, next) = (set >> k & 1, set >> ((k + 1) % 8) & 1);
            count += here;
            crossings += (1 - here) & next;
            k += 1;
        }
        let (up, right, down, left) = (set & 1, set >> 2 & 1, set >> 4 & 1, set >> 6 & 1);
        if count >= 2 && count <= 6 && crossings == 1 {
            let first = up & right & down == 0 && right & down & left == 0;
            let second = up & right & left == 0 && up & down & left == 0;
            table[set] = first as u8 | (second as u8) << 1;
        }
        set += 1;
    }
    table
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
        for half in [0, 1] {
            scratch.gone.clear();
            for &i in alive.iter() {
                let n = around(i as usize, width);
                let set = (0..8).fold(0, |set, k| set | usize::from(mask[n[k]]) << k);
                if GOES[set] >> half & 1 != 0 {
                    scratch.gone.push(i);
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
    fn the_table_holds_the_conditions_as_published() {
        for (set, goes) in GOES.iter().enumerate() {
            let n: [u8; 8] = std::array::from_fn(|k| (set >> k & 1) as u8);
            let [p2, _, p4, _, p6, _, p8, _] = n;
            let open = (2..=6).contains(&n.iter().sum::<u8>()) && crossings(&n) == 1;
            let first = open && p2 * p4 * p6 == 0 && p4 * p6 * p8 == 0;
            let second = open && p2 * p4 * p8 == 0 && p2 * p6 * p8 == 0;
            assert_eq!(*goes, u8::from(first) | u8::from(second) << 1, "{n:?}");
        }
    }

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
