//! The printer: a typed karyotype as an ISCN string.

use std::fmt;

use super::model::*;

impl fmt::Display for Karyotype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Some(Origin::Mosaic) => f.write_str("mos ")?,
            Some(Origin::Chimera) => f.write_str("chi ")?,
            None => {}
        }
        for (i, line) in self.lines.iter().enumerate() {
            if self.recipient_lines == Some(i) {
                f.write_str("//")?;
            } else if i > 0 {
                f.write_str("/")?;
            }
            write!(f, "{line}")?;
        }
        if self.recipient_lines == Some(self.lines.len()) { f.write_str("//") } else { Ok(()) }
    }
}

impl fmt::Display for CellLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.count)?;
        if let Some(ploidy) = self.ploidy {
            if ploidy == 1 { f.write_str("<n>")? } else { write!(f, "<{ploidy}n>")? }
        }
        match &self.base {
            Base::Sex(sex) => write!(f, ",{sex}")?,
            Base::NoNormalSex => {}
            Base::Idem(times) => write!(f, ",idem{}", Times(*times))?,
            Base::Stemline(times) => write!(f, ",sl{}", Times(*times))?,
            Base::Sideline { number, times } => {
                f.write_str(",sdl")?;
                if let Some(number) = number {
                    write!(f, "{number}")?;
                }
                write!(f, "{}", Times(*times))?;
            }
        }
        for item in &self.items {
            write!(f, ",{item}")?;
        }
        match self.cells {
            Some(Cells { number, composite: true }) => write!(f, "[cp{number}]"),
            Some(Cells { number, composite: false }) => write!(f, "[{number}]"),
            None => Ok(()),
        }
    }
}

struct Times(u32);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 1 { Ok(()) } else { write!(f, "x{}", self.0) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.rough.map_or("", Rough::sign), self.low)?;
        self.high.map_or(Ok(()), |high| write!(f, "~{high}"))
    }
}

impl fmt::Display for SexChromosomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undisclosed => f.write_str("U"),
            Self::Known { x, y } => {
                (0..*x).try_for_each(|_| f.write_str("X"))?;
                (0..*y).try_for_each(|_| f.write_str("Y"))
            }
        }
    }
}

impl fmt::Display for SexComplement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.chromosomes)?;
        f.write_str(constitutional(self.constitutional))
    }
}

fn constitutional(c: Option<Constitutional>) -> &'static str {
    match c {
        None => "",
        Some(Constitutional::Certain) => "c",
        Some(Constitutional::Uncertain) => "?c",
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.sign {
            Some(Sign::Gain) => "+",
            Some(Sign::Loss) => "-",
            None => "",
        };
        f.write_str(sign)?;
        if self.uncertain {
            f.write_str("?")?;
        }
        for (i, body) in self.readings.iter().enumerate() {
            if i > 0 {
                write!(f, " or {}", if self.signed_each { sign } else { "" })?;
            }
            write!(f, "{body}")?;
        }
        if let Some(times) = self.times {
            write!(f, "x{times}")?;
        }
        let suffix = constitutional(self.constitutional);
        let inheritance = self.inheritance.map_or("", inheritance);
        if matches!(self.body(), Body::Unidentified { .. }) && !(suffix.is_empty() && inheritance.is_empty()) {
            f.write_str(" ")?;
        }
        f.write_str(suffix)?;
        f.write_str(inheritance)?;
        self.cells.map_or(Ok(()), |cells| write!(f, "[{cells}]"))
    }
}

fn inheritance(kind: Inheritance) -> &'static str {
    INHERITANCE.iter().find(|(_, k)| *k == kind).map_or("", |(name, _)| name)
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(chromosome) => write!(f, "{chromosome}"),
            Self::Structural(segments) => segments.iter().try_for_each(|s| write!(f, "{s}")),
            Self::Unidentified { kind, quantity, index } => {
                if let Some(quantity) = quantity {
                    write!(f, "{quantity}")?;
                }
                f.write_str(kind.name())?;
                index.map_or(Ok(()), |i| write!(f, "{i}"))
            }
            Self::Variant { chromosome, parts } => {
                write!(f, "{chromosome}")?;
                parts.iter().try_for_each(|part| write!(f, "{part}"))
            }
            Self::Incomplete => f.write_str("inc"),
            Self::ArmShorthand { chromosome, arm, longer } => {
                write!(f, "{chromosome}{}{}", arm.letter(), if *longer { '+' } else { '-' })
            }
            Self::Acentric { quantity, minute } => {
                if let Some(quantity) = quantity {
                    write!(f, "{quantity}")?;
                }
                f.write_str(if *minute { "min" } else { "ace" })
            }
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.arm {
            Some(arm) => write!(f, "{}{}", arm.letter(), self.band.as_deref().unwrap_or_default())?,
            None => f.write_str("cen")?,
        }
        let name = self.feature.name();
        write!(f, "{name}{}", if self.double { name } else { "" })?;
        match self.larger {
            Some(true) => f.write_str("+"),
            Some(false) => f.write_str("-"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ChromosomeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            None => f.write_str("?")?,
            Some(class) => write!(f, "{}{class}", if self.uncertain { "?" } else { "" })?,
        }
        self.arm.map_or(Ok(()), |arm| write!(f, "{}", arm.letter()))
    }
}

impl Segment {
    /// Without breakpoints: `t(9;22)`. What a second mention is recognised by.
    pub fn head(&self) -> String {
        let chromosomes: Vec<String> = self.chromosomes.iter().map(ToString::to_string).collect();
        format!("{}{}({})", if self.pseudo { "psu " } else { "" }, self.kind.name(), chromosomes.join(";"))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.uncertain { "?" } else { "" }, self.head())?;
        if let Some(detailed) = &self.detailed {
            return write!(f, "({})", detailed.text);
        }
        if self.breakpoints.is_empty() {
            return Ok(());
        }
        f.write_str("(")?;
        for (i, group) in self.breakpoints.iter().enumerate() {
            if i > 0 {
                f.write_str(";")?;
            }
            group.iter().try_for_each(|b| write!(f, "{b}"))?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Breakpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(arm) = self.arm {
            write!(f, "{}{}", if self.uncertain { "?" } else { "" }, arm.letter())?;
        }
        f.write_str(&self.band)?;
        if let Some((arm, band)) = &self.until {
            // The arm is repeated only where it differs.
            if Some(*arm) == self.arm { write!(f, "~{band}")? } else { write!(f, "~{}{band}", arm.letter())? }
        }
        self.or.as_ref().map_or(Ok(()), |other| write!(f, " or {other}"))
    }
}
