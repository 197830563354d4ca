//! Any text as the description of a TIFF file of three pages, and, behind a zero byte, as the companion beside it.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod pictures;
mod scratch;

const PAGES: u32 = 3;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (description, companion) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    scratch::file("a.companion.ome", companion);
    let first = 12 + description.len() as u32;
    let mut file = b"II*\0".to_vec();
    file.extend(first.to_le_bytes());
    // Four pixels.
    file.extend([0, 80, 160, 240]);
    file.extend(description);
    for page in 0..PAGES {
        let mut entries = vec![(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)];
        if page == 0 && description.len() > 4 {
            entries.push((270_u16, 2_u16, description.len() as u32, 12_u32));
        }
        entries.extend([(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 2), (279, 4, 1, 4)]);
        file.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in entries {
            file.extend(tag.to_le_bytes());
            file.extend(kind.to_le_bytes());
            file.extend(count.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        let next = if page + 1 < PAGES { file.len() as u32 + 4 } else { 0 };
        file.extend(next.to_le_bytes());
    }
    let pages = pictures::read_all(&scratch::file("a.ome.tif", &file));
    // Whatever the words say, the pixels are there.
    assert!(pages > 0);
});
