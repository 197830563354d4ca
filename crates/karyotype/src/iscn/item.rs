//! Reading one abnormality: what stands between two commas.

use domain::ChromosomeClass;

use super::{model::*, parse::whole};

/// Separates the ends of a piece in the detailed system.
pub(super) const ARROW: char = '→';

/// An abnormality and what is wrong with its form, though it can be read.
pub(super) struct ReadItem {
    pub item: Item,
    /// Convention faults, in words.
    pub notes: Vec<String>,
    /// A part could not be read and was left out: sums over the line mean nothing.
    pub partial: bool,
}

/// Reads one abnormality. The text is already free of Unicode variants of minus, x and tilde.
/// Errors say in words why it cannot be read.
pub(super) fn read_item(text: &str) -> Result<ReadItem, String> {
    let strict = Reader::new(text, false).item();
    let Err(reason) = strict else { return strict };
    let spaced = text.contains(char::is_whitespace) && !text.contains(" or ");
    if !spaced || text.replace(' ', "").contains("derdic") {
        return Err(reason);
    }
    // With stray spaces: read it without them, or what stands before the first where only a sex chromosome follows.
    // Whatever else would be left out might be an abnormality.
    let squeezed: String = text.split_whitespace().collect();
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut attempts = vec![(squeezed.as_str(), false)];
    if matches!(rest.trim(), "X" | "Y") {
        attempts.push((first, true));
    }
    for (attempt, partial) in attempts {
        if let Ok(mut read) = Reader::new(attempt, true).item() {
            read.notes.insert(0, format!("space inside '{text}'"));
            read.partial = partial;
            return Ok(read);
        }
    }
    Err(reason)
}

/// One point of a detailed description: the chromosome where it is named, and the band; none for `cen` and `?`.
#[allow(clippy::type_complexity)] // taken apart at once
fn detailed_point(text: &str) -> Read<(Option<ChromosomeClass>, Option<(Arm, String)>)> {
    let wrong = || {
        format!("invalid point '{text}' of a detailed description: expected a band such as 5q13, pter, qter, cen or ?")
    };
    let mut reader = Reader::new(text, false);
    let class = match reader.peek() {
        Some(c) if c.is_ascii_digit() || matches!(c, 'X' | 'Y') => {
            let name = if c.is_ascii_digit() { reader.take_while(|c| c.is_ascii_digit()) } else { &text[..1] };
            reader.rest = &text[name.len()..];
            let class = (!name.starts_with('0')).then(|| name.parse::<ChromosomeClass>().ok()).flatten();
            Some(class.ok_or_else(|| format!("no chromosome {name}: there are 1 to 22, X and Y"))?)
        }
        _ => None,
    };
    if matches!(reader.rest, "cen" | "?") {
        return Ok((class, None));
    }
    reader.take("?");
    let arm = reader.arm().ok_or_else(wrong)?;
    let band = reader.band().map_err(|_| wrong())?;
    if reader.rest.is_empty() { Ok((class, Some((arm, band)))) } else { Err(wrong()) }
}

struct Reader<'a> {
    rest: &'a str,
    /// Spaces were taken out: those that ISCN asks for are missing too.
    squeezed: bool,
    notes: Vec<String>,
}

type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    fn new(text: &'a str, squeezed: bool) -> Self {
        Self { rest: text, squeezed, notes: Vec::new() }
    }

    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// A whole number; none when there is no digit.
    fn number(&mut self) -> Read<Option<u32>> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Ok(None);
        }
        whole(digits).map(Some).ok_or_else(|| format!("'{digits}' is no number that a karyotype has"))
    }

    /// `3`, `3~5`, `~50`, `>50`.
    fn span(&mut self) -> Read<Option<Span>> {
        let rough = [Rough::About, Rough::Above].into_iter().find(|rough| self.take(rough.sign()));
        let Some(low) = self.number()? else {
            return rough.map_or(Ok(None), |rough| Err(format!("number missing after {}", rough.sign())));
        };
        if rough.is_some() || !self.take("~") {
            return Ok(Some(Span { rough, ..Span::exact(low) }));
        }
        let high = self.number()?.ok_or("range end missing")?;
        if high <= low {
            return Err(format!("range {low}~{high} is reversed"));
        }
        Ok(Some(Span { low, high: Some(high), rough: None }))
    }

    fn item(mut self) -> Read<ReadItem> {
        let whole = self.rest;
        let mut uncertain = self.take("?") && !self.rest.starts_with(['(', ';']);
        let sign = if self.take("+") {
            Some(Sign::Gain)
        } else if self.take("-") {
            Some(Sign::Loss)
        } else {
            None
        };
        if sign.is_some() && self.rest.is_empty() {
            return Err("sign without a chromosome".into());
        }
        uncertain |= self.take("?");
        let mut readings = vec![self.body(sign)?];
        let mut signed_each = false;
        while self.take(" or ") || (self.squeezed && self.take("or")) {
            let again = match sign {
                Some(Sign::Gain) => self.take("+"),
                Some(Sign::Loss) => self.take("-"),
                None => false,
            };
            if readings.len() > 1 && again != signed_each {
                return Err("the sign stands before all readings or before the first alone".into());
            }
            signed_each = again;
            readings.push(self.body(sign)?);
        }
        let times = if self.take("x") {
            let times = self.number()?.ok_or("number missing after x")?;
            if times < 2 {
                return Err(format!("x{times} says nothing: copies are given from x2"));
            }
            Some(times)
        } else {
            None
        };
        let (constitutional, inheritance) = self.suffix(&readings[0]);
        let cells = if self.take("[") {
            let cells = self.number()?.ok_or("number of cells missing in brackets")?;
            if cells == 0 {
                return Err("zero cells".into());
            }
            if !self.take("]") {
                return Err("unclosed bracket".into());
            }
            Some(cells)
        } else {
            None
        };
        if !self.rest.is_empty() {
            return Err(self.left_over(whole));
        }
        if times.is_some() && matches!(readings[0], Body::Whole(_)) {
            self.notes.push("x counts copies of rearranged chromosomes: a whole one is written each time".into());
        }
        let item = Item { sign, uncertain, readings, signed_each, times, constitutional, inheritance, cells };
        self.sign_fits(&item)?;
        Ok(ReadItem { item, notes: self.notes, partial: false })
    }

    fn left_over(&self, whole: &str) -> String {
        match self.peek() {
            Some('(') if whole.contains(")(") => {
                "one parenthesis for the chromosomes, one for the breakpoints, no more".to_owned()
            }
            Some(')') => format!("parenthesis closed that was never opened in '{whole}'"),
            _ => format!("'{}' in '{whole}' cannot be read", self.rest),
        }
    }

    /// `c`, `?c`, `mat`, ... ; after a marker or ring a space belongs before it.
    fn suffix(&mut self, body: &Body) -> (Option<Constitutional>, Option<Inheritance>) {
        let loose = matches!(body, Body::Unidentified { .. });
        let before = self.rest;
        let spaced = loose && self.take(" ");
        let mut constitutional = None;
        let mut inheritance = None;
        if self.take("?c") {
            constitutional = Some(Constitutional::Uncertain);
        } else if let Some((name, kind)) =
            INHERITANCE.iter().filter(|(name, _)| self.rest.starts_with(name)).max_by_key(|(name, _)| name.len())
        {
            self.take(name);
            inheritance = Some(*kind);
        } else if self.take("c") {
            constitutional = Some(Constitutional::Certain);
        }
        if constitutional.is_none() && inheritance.is_none() {
            self.rest = before;
        } else if loose && !spaced && !self.squeezed {
            let suffix = &before[..before.len() - self.rest.len()];
            self.notes.push(format!("space missing between {body} and {suffix}"));
        }
        (constitutional, inheritance)
    }

    fn sign_fits(&self, item: &Item) -> Read<()> {
        match (item.body(), item.sign) {
            (Body::Unidentified { kind: Unidentified::DoubleMinute, .. }, Some(_)) => {
                Err("dmin takes no plus sign".into())
            }
            (Body::Unidentified { kind, .. }, None) if *kind != Unidentified::DoubleMinute => {
                Err(format!("{} needs a plus sign", kind.name()))
            }
            (Body::Whole(chromosome), None) => {
                Err(format!("chromosome {chromosome} alone says nothing: + or - is missing"))
            }
            (Body::Variant { .. } | Body::Incomplete, Some(_)) => Err(format!("{} takes no sign", item.body())),
            _ => Ok(()),
        }
    }

    fn body(&mut self, sign: Option<Sign>) -> Read<Body> {
        if self.take("inc") {
            return Ok(Body::Incomplete);
        }
        let start = self.rest;
        // A quantity before mar, r, dmin, ace; else a chromosome number, read again below.
        let quantity =
            if self.peek().is_some_and(|c| c.is_ascii_digit() || matches!(c, '~' | '>')) { self.span()? } else { None };
        if self.take("ace") {
            return Ok(Body::Acentric { quantity, minute: false });
        }
        if self.take("min") {
            return Ok(Body::Acentric { quantity, minute: true });
        }
        for kind in [Unidentified::Marker, Unidentified::DoubleMinute, Unidentified::Ring] {
            let ring_of_something = kind == Unidentified::Ring
                && self.rest.strip_prefix('r').is_some_and(|rest| rest.starts_with(['(', 'o', 'e']));
            let ring_of_something = ring_of_something && !self.rest.starts_with("r(?)");
            if !ring_of_something && self.take(kind.name()) {
                if quantity.is_some_and(|q| q.low == 0) {
                    return Err(format!("zero {}", kind.name()));
                }
                // A ring of unknown origin may say so.
                if kind == Unidentified::Ring {
                    self.take("(?)");
                }
                let index = self.number()?;
                return Ok(Body::Unidentified { kind, quantity, index });
            }
        }
        self.rest = start;
        match self.peek() {
            Some(c) if c.is_ascii_digit() || matches!(c, 'X' | 'Y' | '?') => self.whole_or_arm(sign),
            Some(c) if c.is_ascii_lowercase() => Ok(Body::Structural(self.segments()?)),
            Some(_) => {
                let word = self.take_while(|c| !matches!(c, '(' | '[' | ' '));
                Err(format!("'{word}' is no abbreviation or chromosome"))
            }
            None => Err("empty item".into()),
        }
    }

    fn whole_or_arm(&mut self, sign: Option<Sign>) -> Read<Body> {
        let mut chromosome = self.chromosome()?;
        let arm = chromosome.arm.take();
        let cen = arm.is_none() && self.rest.starts_with("cenh") && self.take("cen");
        if arm.is_none() && !cen {
            return Ok(Body::Whole(chromosome));
        }
        if let Some(arm) = arm
            && self.rest.starts_with(['+', '-'])
        {
            let longer = self.rest.starts_with('+');
            self.rest = &self.rest[1..];
            let (form, letter) = (if longer { "add" } else { "del" }, arm.letter());
            self.notes
                .push(format!("arm shorthand is for text only: write {form}({chromosome})({letter}..) with the band"));
            if sign.is_some() {
                return Err(format!("two signs on {chromosome}{letter}"));
            }
            return Ok(Body::ArmShorthand { chromosome, arm, longer });
        }
        let mut parts = vec![self.variant(&chromosome, arm)?];
        while self.peek().is_some_and(|c| matches!(c, 'p' | 'q' | 'c')) && !self.rest.starts_with("pat") {
            let arm = self.arm();
            if arm.is_none() && !(self.rest.starts_with("cenh") && self.take("cen")) {
                break;
            }
            parts.push(self.variant(&chromosome, arm)?);
        }
        // One stretch of heterochromatin that every chromosome has says nothing without its size; 9ph means p alone.
        if let [Variant { feature: VariantFeature::Heterochromatin, larger: None, arm, band: None, .. }] = parts[..]
            && arm != Some(Arm::Short)
        {
            return Err(format!("what happened to {}: + or - is missing", Body::Variant { chromosome, parts }));
        }
        Ok(Body::Variant { chromosome, parts })
    }

    /// Band, feature and size of a heteromorphism, after its arm.
    fn variant(&mut self, chromosome: &ChromosomeRef, arm: Option<Arm>) -> Read<Variant> {
        let band = self.take_while(|c| c.is_ascii_digit() || c == '.');
        let features = [VariantFeature::Stalk, VariantFeature::Heterochromatin, VariantFeature::Satellite];
        let Some(feature) = features.into_iter().find(|feature| self.take(feature.name())) else {
            return Err(format!("what happened to {chromosome}{} is not said", self.rest));
        };
        let double = feature != VariantFeature::Heterochromatin && self.take(feature.name());
        let larger = if self.take("+") {
            Some(true)
        } else if self.take("-") {
            Some(false)
        } else {
            None
        };
        Ok(Variant { arm, band: (!band.is_empty()).then(|| band.to_owned()), feature, double, larger })
    }

    /// Number or letter, with a question mark before and an arm after it where given.
    fn chromosome(&mut self) -> Read<ChromosomeRef> {
        let uncertain = self.take("?");
        let name = match self.peek() {
            Some('X' | 'Y') => {
                let (name, rest) = self.rest.split_at(1);
                self.rest = rest;
                name
            }
            _ => self.take_while(|c| c.is_ascii_digit()),
        };
        if name.is_empty() {
            return match self.peek() {
                _ if uncertain => Ok(ChromosomeRef { class: None, uncertain: false, arm: None }),
                Some(c) => Err(format!("'{c}' where a chromosome was expected")),
                None => Err("chromosome missing".into()),
            };
        }
        let class = (!name.starts_with('0'))
            .then(|| name.parse::<ChromosomeClass>().ok())
            .flatten()
            .ok_or_else(|| format!("no chromosome {name}: there are 1 to 22, X and Y"))?;
        let arm = self.arm();
        Ok(ChromosomeRef { class: Some(class), uncertain, arm })
    }

    fn arm(&mut self) -> Option<Arm> {
        // `pat` is no arm.
        if self.rest.starts_with("pat") {
            None
        } else if self.take("p") {
            Some(Arm::Short)
        } else if self.take("q") {
            Some(Arm::Long)
        } else {
            None
        }
    }

    fn segments(&mut self) -> Read<Vec<Segment>> {
        let mut segments = vec![self.segment(false)?];
        loop {
            let uncertain = self.rest.starts_with('?') && !self.rest.starts_with("?c");
            let next = if uncertain { &self.rest[1..] } else { self.rest };
            let letters = next.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(next.len());
            if !next[letters..].starts_with('(') || letters == 0 || (self.squeezed && next.starts_with("or")) {
                return Ok(segments);
            }
            let composite = matches!(
                segments[0].kind,
                Abbreviation::Der
                    | Abbreviation::Rec
                    | Abbreviation::Ider
                    | Abbreviation::Ring
                    | Abbreviation::Dic
                    | Abbreviation::Idic
                    | Abbreviation::Trc
            );
            if !composite {
                return Err(format!("comma missing before '{next}'"));
            }
            if uncertain {
                self.take("?");
            }
            segments.push(self.segment(uncertain)?);
        }
    }

    fn segment(&mut self, uncertain: bool) -> Read<Segment> {
        for old in ["inv ", "dir "] {
            let then = self.rest.strip_prefix(old).unwrap_or_default();
            if ["dup(", "ins(", "trp("].iter().any(|kind| then.starts_with(kind)) {
                self.take(old);
                self.notes.push(format!("{old}is no longer written: the order of the bands gives the direction"));
            }
        }
        let mut pseudo = self.take("psu ");
        if !pseudo && self.rest.starts_with("psu") {
            self.take("psu");
            pseudo = true;
            if !self.squeezed {
                self.notes.push("space missing after psu".into());
            }
        }
        let word = self.take_while(|c| c.is_ascii_alphabetic());
        if word == "der" && self.rest.trim_start().starts_with("dic") {
            return Err("der and dic are not combined".into());
        }
        let kind = match Abbreviation::ALL.iter().find(|kind| kind.name() == word) {
            Some(kind) => *kind,
            None if word == "derdic" => return Err("der and dic are not combined".into()),
            None => return Err(format!("unknown abbreviation '{word}'")),
        };
        if pseudo && !matches!(kind, Abbreviation::Dic | Abbreviation::Idic | Abbreviation::Trc) {
            return Err(format!("psu goes with dic, not with {word}"));
        }
        if !self.take("(") {
            return Err(format!("parenthesis with the chromosomes missing after {word}"));
        }
        let mut chromosomes = vec![self.chromosome()?];
        while !self.take(")") {
            match self.peek() {
                Some(';') => {
                    self.take(";");
                    chromosomes.push(self.chromosome()?);
                }
                Some(',') => return Err("semicolon, not comma, between chromosomes and between breakpoints".into()),
                None => return Err("unclosed parenthesis".into()),
                Some(c) => return Err(format!("'{c}' among the chromosomes of {word}")),
            }
        }
        let detailed = self.detailed(&chromosomes)?;
        let breakpoints = if detailed.is_none() && self.take("(") { self.breakpoints()? } else { Vec::new() };
        if (!breakpoints.is_empty() || detailed.is_some()) && self.rest.starts_with('(') {
            return Err("one parenthesis for the breakpoints, with semicolons between chromosomes".into());
        }
        Ok(Segment { uncertain, pseudo, kind, chromosomes, breakpoints, detailed })
    }

    /// A parenthesis in the detailed system, known by its arrows and colons; none where the short one follows.
    fn detailed(&mut self, chromosomes: &[ChromosomeRef]) -> Read<Option<Detailed>> {
        let Some((text, rest)) = self.rest.strip_prefix('(').and_then(|inside| inside.split_once(')')) else {
            return Ok(None);
        };
        if !text.contains([ARROW, ':']) {
            return Ok(None);
        }
        self.rest = rest;
        let mut bands = Vec::new();
        for (at, chain) in text.split(';').enumerate() {
            // Without a number of its own a band is one of the chromosome described.
            let own =
                if chromosomes.len() == 1 { chromosomes[0].class } else { chromosomes.get(at).and_then(|c| c.class) };
            let mut described = false;
            for piece in chain.split("::").map(|piece| piece.trim_matches(':')).filter(|piece| !piece.is_empty()) {
                let mut class = own;
                for point in piece.split(ARROW) {
                    let (known, band) = detailed_point(point)?;
                    class = known.or(class);
                    bands.extend(band.map(|(arm, band)| (class, arm, band)));
                }
                described = true;
            }
            if !described {
                return Err(format!("nothing described in '({text})'"));
            }
        }
        Ok(Some(Detailed { text: text.to_owned(), bands }))
    }

    fn breakpoints(&mut self) -> Read<Vec<Vec<Breakpoint>>> {
        let mut groups = vec![Vec::new()];
        loop {
            match self.peek() {
                None => return Err("unclosed parenthesis".into()),
                Some(')') => {
                    self.take(")");
                    if groups.iter().any(Vec::is_empty) {
                        return Err("breakpoint missing".into());
                    }
                    return Ok(groups);
                }
                Some(';') => {
                    self.take(";");
                    groups.push(Vec::new());
                }
                Some(',') => return Err("semicolon, not comma, between chromosomes and between breakpoints".into()),
                Some('-') => return Err("tilde, not hyphen, for an interval".into()),
                Some('(') => return Err("parenthesis inside the breakpoints".into()),
                Some(_) => {
                    let breakpoint = self.breakpoint()?;
                    groups.last_mut().expect("there is always a group").push(breakpoint);
                }
            }
        }
    }

    fn breakpoint(&mut self) -> Read<Breakpoint> {
        if self.peek().is_some_and(|c| c.is_ascii_digit() || matches!(c, 'X' | 'Y')) {
            return Err("the chromosome is not repeated among the breakpoints in the short system".into());
        }
        let uncertain = ["?p", "?q"].iter().any(|doubt| self.rest.starts_with(doubt)) && self.take("?");
        let arm = match self.peek() {
            Some('p') => Some(Arm::Short),
            Some('q') => Some(Arm::Long),
            Some('?') => None,
            Some(c) => return Err(format!("'{c}' where an arm (p or q) was expected")),
            None => return Err("unclosed parenthesis".into()),
        };
        if arm.is_some() {
            self.rest = &self.rest[1..];
        }
        let band = self.band()?;
        let until = if self.take("~") {
            let far = self.arm().or(arm).ok_or("interval without an arm")?;
            let band = self.band().map_err(|_| "range end missing")?;
            Some((far, band))
        } else {
            None
        };
        let or = if self.take(" or ") || (self.squeezed && self.take("or")) {
            Some(Box::new(self.breakpoint()?))
        } else {
            None
        };
        Ok(Breakpoint { uncertain, arm, band, until, or })
    }

    fn band(&mut self) -> Read<String> {
        if self.take("ter") {
            return Ok("ter".into());
        }
        let band = self.take_while(|c| c.is_ascii_digit() || c == '.' || c == '?');
        // `q?` may be followed by another breakpoint, `?` alone by one too.
        if band.is_empty() { Err("band missing after the arm".into()) } else { Ok(band.to_owned()) }
    }
}
