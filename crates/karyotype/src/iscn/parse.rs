//! The parser: a string into cell lines, with every fault reported instead of stopping at the first.

use super::{
    Fault, Severity,
    item::{ReadItem, read_item},
    model::*,
};

/// What could be read of a string.
pub(super) struct Reading {
    /// The lines that could be read; items that could not are missing from them.
    pub karyotype: Karyotype,
    /// Counts as written, joined like the lines.
    pub counts: String,
    /// Per line, the slant before it and the sex chromosomes as written.
    pub complements: Vec<(&'static str, String)>,
    /// What is wrong so far.
    pub faults: Vec<Fault>,
    /// Lines whose sum means nothing, because something in them was left out.
    pub partial: Vec<bool>,
}

/// Words of other nomenclatures that share the string's beginning.
const OTHER_SYSTEMS: [(&str, &str); 7] = [
    ("ish", "in situ hybridisation (ish)"),
    ("arr", "microarrays (arr)"),
    ("rsa", "region-specific assays (rsa)"),
    ("sseq", "sequencing (sseq)"),
    ("seq", "sequencing (seq)"),
    ("ogm", "optical genome mapping (ogm)"),
    ("sce", "sister chromatid exchange (sce)"),
];

/// Reads a whole string.
pub(super) fn read(text: &str) -> Reading {
    let mut faults = Vec::new();
    let text = plain_characters(text);
    let trimmed = text.trim();
    if trimmed.len() != text.len() && !trimmed.is_empty() {
        faults.push(Fault::convention("space before or after the karyotype"));
    }
    let mut reading = Reading {
        karyotype: Karyotype { origin: None, lines: Vec::new(), recipient_lines: None },
        counts: String::new(),
        complements: Vec::new(),
        faults,
        partial: Vec::new(),
    };
    if trimmed.is_empty() {
        reading.faults.push(Fault::fatal("empty: there is nothing to read"));
        return reading;
    }
    if let Some((_, system)) = OTHER_SYSTEMS.iter().find(|(word, _)| names_system(trimmed, word)) {
        reading.faults.push(Fault::fatal(format!("{system} is another nomenclature: only banded karyotypes are read")));
        return reading;
    }
    let mut rest = trimmed;
    for (word, origin) in [("mos", Origin::Mosaic), ("chi", Origin::Chimera)] {
        if let Some(after) = rest.strip_prefix(word) {
            reading.karyotype.origin = Some(origin);
            if !after.starts_with(' ') || after.starts_with("  ") {
                reading.faults.push(Fault::convention(format!("one space belongs after {word}")));
            }
            rest = after.trim_start();
        }
    }
    read_lines(rest, &mut reading);
    reading
}

/// True when `word` stands in the text as a word of its own.
fn names_system(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(|c| c.is_ascii_alphabetic()) && !after.is_some_and(|c| c.is_ascii_lowercase())
    })
}

/// Minus, multiplication, tilde and arrow have several characters in print.
fn plain_characters(text: &str) -> String {
    text.replace("->", "→")
        .chars()
        .map(|c| match c {
            '\u{2212}' | '\u{2013}' => '-',
            '\u{d7}' => 'x',
            '\u{223c}' => '~',
            c => c,
        })
        .collect()
}

fn read_lines(text: &str, reading: &mut Reading) {
    let mut sides = text.split("//");
    let (first, second) = (sides.next().unwrap_or_default(), sides.next());
    if sides.next().is_some() {
        reading.faults.push(Fault::fatal("more than one double slant"));
        return;
    }
    let mut slant = "";
    for (side, part) in [Some(first), second].into_iter().enumerate() {
        let Some(part) = part else { continue };
        if side == 1 {
            reading.karyotype.recipient_lines = Some(reading.karyotype.lines.len());
        }
        if part.is_empty() && second.is_some() {
            continue;
        }
        for line in part.split('/') {
            reading.counts.push_str(slant);
            read_line(line, slant, reading);
            slant = "/";
        }
        slant = "//";
    }
    if second.is_some() && reading.karyotype.lines.is_empty() && reading.faults.is_empty() {
        reading.faults.push(Fault::fatal("nothing on either side of the double slant"));
    }
}

/// Splits at commas outside of parentheses and brackets.
fn fields(line: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (i, c) in line.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth <= 0 => {
                fields.push(&line[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    fields.push(&line[start..]);
    fields
}

fn read_line(line: &str, slant: &'static str, reading: &mut Reading) {
    if line.trim().is_empty() {
        reading.faults.push(Fault::fatal("empty cell line"));
        return;
    }
    let mut line = line;
    if line.trim().len() != line.len() {
        reading.faults.push(Fault::convention("space at the slant between cell lines"));
        line = line.trim();
    }
    if let Some((number, rest)) = after_cell_number(line) {
        reading.faults.push(Fault::fatal(format!(
            "'{rest}' after the number of cells {number}: expected a comma, a slant or the end"
        )));
    }
    let cells = match cells(&mut line) {
        Ok(cells) => cells,
        Err(reason) => {
            reading.faults.push(Fault::fatal(reason));
            None
        }
    };
    if line.ends_with(' ') {
        reading.faults.push(Fault::convention("space before the number of cells"));
    }
    let fields = fields(line);
    let count = match read_count(fields[0], reading) {
        Ok(count) => Some(count),
        Err(reason) => {
            reading.faults.push(Fault::fatal(reason));
            None
        }
    };
    let mut at = 1;
    let mut complement = String::new();
    let mut base = None;
    match fields.get(1) {
        None if count.is_some() => reading.faults.push(Fault::fatal("no sex chromosomes")),
        None => {}
        Some(field) => {
            let (field, stray) = (field.trim(), field.trim().len() != field.len());
            match read_base(field) {
                Some(Ok((read, text, swapped))) => {
                    if swapped {
                        reading.faults.push(Fault::convention("X is written before Y"));
                    }
                    if stray {
                        reading.faults.push(Fault::convention("space after a comma"));
                    }
                    (base, complement, at) = (Some(read), text, 2);
                }
                Some(Err(reason)) => {
                    reading.faults.push(Fault::fatal(reason));
                    if field.chars().all(|c| c.is_ascii_uppercase()) {
                        complement = field.to_owned();
                    }
                    at = 2;
                }
                None => base = Some(Base::NoNormalSex),
            }
        }
    }
    if count.is_none() && complement.is_empty() {
        // `XX,46`: the complement may stand where the count belongs.
        if let Some(Ok((Base::Sex(_), text, _))) = read_base(fields[0].trim()) {
            complement = text;
        }
    }
    reading.complements.push((slant, complement));

    let mut items = Vec::new();
    let mut partial = false;
    if count.is_some() {
        for (i, field) in fields.iter().enumerate().skip(at) {
            if field.trim().is_empty() {
                let place = if i + 1 == fields.len() { "trailing comma" } else { "empty item between commas" };
                reading.faults.push(Fault::fatal(place));
                continue;
            }
            if field.trim().len() != field.len() {
                reading.faults.push(Fault::convention("space after a comma"));
            }
            match read_item(field.trim()) {
                Ok(ReadItem { item, notes, partial: unselected }) => {
                    reading.faults.extend(notes.into_iter().map(Fault::convention));
                    partial |= unselected;
                    items.push(item);
                }
                Err(reason) => {
                    reading.faults.push(Fault::fatal(reason));
                    partial = true;
                }
            }
        }
    }
    if base == Some(Base::NoNormalSex) && !items.iter().any(names_sex_chromosome) {
        reading.faults.push(Fault::fatal("no sex chromosomes"));
        base = None;
    }
    if let (Some((count, ploidy)), Some(base)) = (count, base) {
        reading.karyotype.lines.push(CellLine { count, ploidy, base, items, cells });
        reading.partial.push(partial);
    }
}

fn names_sex_chromosome(item: &Item) -> bool {
    matches!(item.body(), Body::Structural(segments) if segments[0].chromosomes.iter().any(ChromosomeRef::is_sex))
}

/// What follows a number of cells in brackets where only a comma, another bracket or the end may follow, with that
/// number as written. Brackets inside parentheses are something else.
fn after_cell_number(line: &str) -> Option<(&str, &str)> {
    let mut depth = 0_i32;
    let mut open = None;
    for (at, c) in line.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '[' if depth <= 0 => open = Some(at),
            ']' if depth <= 0 => {
                let rest = line[at + 1..].trim();
                if let Some(start) = open.take()
                    && !rest.is_empty()
                    && !rest.starts_with([',', '['])
                {
                    return Some((&line[start..=at], rest));
                }
            }
            _ => {}
        }
    }
    None
}

/// `[12]` or `[cp12]` at the end of the line; taken off it.
fn cells(line: &mut &str) -> Result<Option<Cells>, String> {
    let Some(open) = line.strip_suffix(']').and_then(|l| l.rfind('[')) else {
        return Ok(None);
    };
    let inside = &line[open + 1..line.len() - 1];
    let before = &line[..open];
    *line = before;
    let (composite, digits) = match inside.strip_prefix("cp") {
        Some(digits) => (true, digits),
        None => (false, inside),
    };
    if digits.starts_with('-') {
        return Err("negative cell number".into());
    }
    let number = whole(digits).ok_or_else(|| format!("'{inside}' in brackets is no number of cells"))?;
    if number == 0 {
        return Err("zero cells".into());
    }
    Ok(Some(Cells { number, composite }))
}

/// A whole number as karyotypes are written: digits alone, without zeros before them.
pub(super) fn whole(digits: &str) -> Option<u32> {
    let plain = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| plain)
}

/// The count and the ploidy level; adds the count as written to the reading.
fn read_count(field: &str, reading: &mut Reading) -> Result<(Span, Option<u32>), String> {
    let bare = field.trim();
    let (number, ploidy) = match bare.split_once('<') {
        Some((number, level)) => {
            let level = level.strip_suffix('>').ok_or("unclosed angle bracket")?;
            let digits = level.strip_suffix('n').ok_or("the ploidy level is written <2n>")?;
            let level = if digits.is_empty() { Some(1) } else { whole(digits) };
            let level = level.filter(|l| (1..=9).contains(l)).ok_or("the ploidy level is written <2n>")?;
            (number, Some(level))
        }
        None => (bare, None),
    };
    if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit() || c == '~') {
        let digits = number.chars().take_while(char::is_ascii_digit).count();
        return Err(match (digits, number[digits..].chars().next()) {
            (0, _) => "the count of chromosomes must come first".into(),
            (_, Some('.')) => "period instead of comma after the count".into(),
            _ => "comma missing after the count".into(),
        });
    }
    reading.counts.push_str(number);
    if bare.len() != field.len() {
        reading.faults.push(Fault::convention("space around the count"));
    }
    let whole = |digits: &str| whole(digits).ok_or_else(|| format!("'{digits}' is no count"));
    let span = match number.split_once('~') {
        None => Span::exact(whole(number)?),
        Some(("", _) | (_, "")) => return Err("range end missing".into()),
        Some((low, high)) => {
            let (low, high) = (whole(low)?, whole(high)?);
            if high <= low {
                return Err("range is reversed: the smaller count comes first".into());
            }
            Span { low, high: Some(high), rough: None }
        }
    };
    if span.low == 0 {
        return Err("count zero: a cell has chromosomes".into());
    }
    Ok((span, ploidy))
}

/// The second field: none when it looks like an abnormality; otherwise base, sex chromosomes as written, and
/// whether X and Y are in the wrong order.
#[allow(clippy::type_complexity)] // used once, where it is taken apart
fn read_base(field: &str) -> Option<Result<(Base, String, bool), String>> {
    if let Some(relative) = read_relative(field) {
        return Some(relative.map(|base| (base, String::new(), false)));
    }
    let (letters, constitutional) = match field.strip_suffix("?c") {
        Some(letters) => (letters, Some(Constitutional::Uncertain)),
        None => match field.strip_suffix('c') {
            Some(letters) => (letters, Some(Constitutional::Certain)),
            None => (field, None),
        },
    };
    if letters.is_empty() {
        return Some(Err("empty item where the sex chromosomes belong".into()));
    }
    let structural = letters.contains(['(', '+', '-', '?']) || letters.starts_with(|c: char| c.is_ascii_digit());
    if structural {
        return None;
    }
    if letters == "U" {
        let sex = SexComplement { chromosomes: SexChromosomes::Undisclosed, constitutional };
        return Some(Ok((Base::Sex(sex), field.to_owned(), false)));
    }
    if letters.chars().all(|c| matches!(c, 'X' | 'Y')) {
        let x = letters.matches('X').count() as u32;
        let y = letters.matches('Y').count() as u32;
        let sex = SexComplement { chromosomes: SexChromosomes::Known { x, y }, constitutional };
        return Some(Ok((Base::Sex(sex), field.to_owned(), letters.contains("YX"))));
    }
    Some(Err(if letters.chars().all(|c| matches!(c, 'x' | 'y' | 'X' | 'Y')) {
        "sex chromosomes must be capitals".into()
    } else if letters.contains(['O', '0']) && letters.starts_with(['X', 'Y']) {
        "O is not used for a missing chromosome: write 45,X".into()
    } else {
        format!("unknown sex chromosome letter in '{letters}'")
    }))
}

/// `idem`, `sl`, `sdl2`, each with `x2` where doubled.
fn read_relative(field: &str) -> Option<Result<Base, String>> {
    let (name, rest) =
        ["idem", "sdl", "sl"].iter().find_map(|name| field.strip_prefix(name).map(|rest| (*name, rest)))?;
    let (number, times) = match rest.split_once('x') {
        Some((number, times)) => (number, whole(times).filter(|t| *t > 1)),
        None => (rest, Some(1)),
    };
    let number = if number.is_empty() { Some(None) } else { whole(number).map(Some) };
    Some(match (name, number, times) {
        ("idem", Some(None), Some(times)) => Ok(Base::Idem(times)),
        ("sl", Some(None), Some(times)) => Ok(Base::Stemline(times)),
        ("sdl", Some(number), Some(times)) => Ok(Base::Sideline { number, times }),
        _ => Err(format!("'{field}' is no reference to another line: idem, sl, sdl, sdl1, each with x2 if doubled")),
    })
}

impl Fault {
    pub(super) fn fatal(reason: impl Into<String>) -> Self {
        Self { severity: Severity::Fatal, reason: reason.into() }
    }

    pub(super) fn convention(reason: impl Into<String>) -> Self {
        Self { severity: Severity::Convention, reason: reason.into() }
    }
}
