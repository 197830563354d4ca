//! TIFF files made of directories that the bytes state: any tags of any type, count and value over any data.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod pictures;
mod scratch;

/// Tags that the reader or its library looks at.
const TAGS: [u16; 32] = [
    254, 255, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 280, 281, 282, 284, 296, 317, 320, 322, 323, 324,
    325, 330, 338, 339, 347, 530, 51_123, 50_838,
];

/// Bytes of an entry: tag, type, count, three of the value.
const ENTRY: usize = 6;

fuzz_target!(|bytes: &[u8]| {
    let [flags, entries, rest @ ..] = bytes else { return };
    let (directories, entries) = (1 + usize::from(flags >> 1) % 4, usize::from(*entries) % 24);
    let Some((stated, data)) = rest.split_at_checked(directories * entries * ENTRY) else { return };
    let big_endian = flags & 1 == 1;
    let two = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let four = |v: u32| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut file = if big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    file.extend(four(8 + data.len() as u32));
    file.extend(data);
    for number in 0..directories {
        file.extend(two(entries as u16));
        for entry in stated[number * entries * ENTRY..][..entries * ENTRY].chunks_exact(ENTRY) {
            let kind = entry[1] % 19;
            file.extend(two(TAGS[usize::from(entry[0]) % TAGS.len()]));
            file.extend(two(kind.into()));
            file.extend(four(entry[2].into()));
            match kind {
                // Two shorts lie side by side.
                3 | 8 => {
                    file.extend(two(u16::from_le_bytes([entry[3], entry[4]])));
                    file.extend(two(entry[5].into()));
                }
                1 | 2 | 6 | 7 => file.extend([entry[3], entry[4], entry[5], 0]),
                _ => file.extend(four(u32::from_le_bytes([entry[3], entry[4], entry[5], 0]))),
            }
        }
        let next = if number + 1 < directories { file.len() as u32 + 4 } else { 0 };
        file.extend(four(next));
    }
    pictures::read_all(&scratch::file("directories.tif", &file));
});
