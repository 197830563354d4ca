//! The typed karyotype: what an ISCN string says.

use domain::ChromosomeClass;

/// A whole karyotype: one or more cell lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Karyotype {
    /// `mos` or `chi` before it.
    pub origin: Option<Origin>,
    /// The cell lines as written.
    pub lines: Vec<CellLine>,
    /// In a transplant chimera (`//`): how many of the lines, from the first, are the recipient's.
    pub recipient_lines: Option<usize>,
}

/// Said of a karyotype with several constitutional lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `mos`: lines of one zygote.
    Mosaic,
    /// `chi`: lines of several zygotes.
    Chimera,
}

/// A whole number, a range `low~high`, or a rough number `~50` or `>50`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The number, or the lower end.
    pub low: u32,
    /// The upper end of a range.
    pub high: Option<u32>,
    /// What stands before the number.
    pub rough: Option<Rough>,
}

/// What a rough number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rough {
    /// `~`: about so many.
    About,
    /// `>`: more than so many.
    Above,
}

impl Rough {
    /// The sign before the number.
    pub fn sign(self) -> &'static str {
        match self {
            Self::About => "~",
            Self::Above => ">",
        }
    }
}

impl Span {
    /// A single number.
    pub fn exact(number: u32) -> Self {
        Self { low: number, high: None, rough: None }
    }
}

/// One cell line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellLine {
    /// Chromosomes, as stated.
    pub count: Span,
    /// Ploidy in angle brackets, where stated: 1 to 9.
    pub ploidy: Option<u32>,
    /// What the abnormalities are written relative to.
    pub base: Base,
    /// The abnormalities, in the order written.
    pub items: Vec<Item>,
    /// Cells in square brackets.
    pub cells: Option<Cells>,
}

/// The second field of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Sex chromosomes that are normal (all of them, when constitutional).
    Sex(SexComplement),
    /// No normal sex chromosome is left: `46,t(X;18)(...),t(Y;1)(...)`.
    NoNormalSex,
    /// `idem`: the first line, so many times over.
    Idem(u32),
    /// `sl`: the stemline.
    Stemline(u32),
    /// `sdl`, `sdl1`, ...: a sideline, by number where given.
    Sideline {
        /// Number after `sdl`.
        number: Option<u32>,
        /// How many times over (`sdlx2`).
        times: u32,
    },
}

/// The sex chromosomes listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SexComplement {
    /// Which.
    pub chromosomes: SexChromosomes,
    /// `c` (or `?c`) after them.
    pub constitutional: Option<Constitutional>,
}

/// X and Y by number, or undisclosed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SexChromosomes {
    /// `U`: not disclosed; counts as two.
    Undisclosed,
    /// So many X and Y.
    Known {
        /// Number of X.
        x: u32,
        /// Number of Y.
        y: u32,
    },
}

impl SexChromosomes {
    /// How many chromosomes.
    pub fn number(self) -> u32 {
        match self {
            Self::Undisclosed => 2,
            Self::Known { x, y } => x + y,
        }
    }
}

/// The suffix `c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constitutional {
    /// `c`.
    Certain,
    /// `?c`.
    Uncertain,
}

/// `[12]` or `[cp12]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cells {
    /// Number of cells, at least 1.
    pub number: u32,
    /// Composite over cells that differ.
    pub composite: bool,
}

/// Plus or minus before an abnormality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Additional.
    Gain,
    /// Missing.
    Loss,
}

/// One abnormality between commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Sign, if any.
    pub sign: Option<Sign>,
    /// A question mark before it.
    pub uncertain: bool,
    /// What it is; more than one when joined by `or`.
    pub readings: Vec<Body>,
    /// The sign stands before every reading: `+8 or +9`.
    pub signed_each: bool,
    /// `x2`: copies.
    pub times: Option<u32>,
    /// `c` or `?c`.
    pub constitutional: Option<Constitutional>,
    /// `mat`, `dn`, ...
    pub inheritance: Option<Inheritance>,
    /// Cells that have it, in a composite.
    pub cells: Option<u32>,
}

impl Item {
    /// An abnormality without suffixes.
    pub fn new(sign: Option<Sign>, body: Body) -> Self {
        Self {
            sign,
            uncertain: false,
            readings: vec![body],
            signed_each: false,
            times: None,
            constitutional: None,
            inheritance: None,
            cells: None,
        }
    }

    /// Gain or loss of a whole chromosome.
    pub fn whole(sign: Sign, class: ChromosomeClass) -> Self {
        Self::new(Some(sign), Body::Whole(ChromosomeRef::known(class)))
    }

    /// The first (mostly only) reading.
    pub fn body(&self) -> &Body {
        &self.readings[0]
    }
}

/// Where an abnormality came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the suffixes mat, pat, dmat, dpat, inh, dinh, dn are their own names
pub enum Inheritance {
    Maternal,
    Paternal,
    DerivedMaternal,
    DerivedPaternal,
    Inherited,
    DerivedInherited,
    DeNovo,
}

/// Suffixes as written; the first of a kind is the one that is printed.
pub(super) const INHERITANCE: [(&str, Inheritance); 8] = [
    ("dmat", Inheritance::DerivedMaternal),
    ("dpat", Inheritance::DerivedPaternal),
    ("dinh", Inheritance::DerivedInherited),
    ("mat", Inheritance::Maternal),
    ("pat", Inheritance::Paternal),
    ("inh", Inheritance::Inherited),
    ("dn", Inheritance::DeNovo),
    ("dnv", Inheritance::DeNovo),
];

/// What an abnormality is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A whole chromosome (with a sign).
    Whole(ChromosomeRef),
    /// A rearranged chromosome: one segment, or a derivative with what made it.
    Structural(Vec<Segment>),
    /// Markers, unidentified rings, double minutes.
    Unidentified {
        /// Which.
        kind: Unidentified,
        /// Number before it.
        quantity: Option<Span>,
        /// Number after it, a name: `mar1`.
        index: Option<u32>,
    },
    /// A heteromorphism: `16qh+`, `21ps-`, `14cenh+pstk+ps+`.
    Variant {
        /// On which chromosome.
        chromosome: ChromosomeRef,
        /// What varies on it, in the order written.
        parts: Vec<Variant>,
    },
    /// `inc`: incomplete analysis.
    Incomplete,
    /// `5p-`: readable, but no ISCN.
    ArmShorthand {
        /// Chromosome.
        chromosome: ChromosomeRef,
        /// Arm.
        arm: Arm,
        /// Longer (`+`) or shorter (`-`).
        longer: bool,
    },
    /// `ace`, `min`: readable, but no part of a karyotype.
    Acentric {
        /// Number before it.
        quantity: Option<Span>,
        /// A minute one (`min`).
        minute: bool,
    },
}

/// Pieces without a chromosome number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unidentified {
    /// `r`.
    Ring,
    /// `mar`.
    Marker,
    /// `dmin`; never counted.
    DoubleMinute,
}

impl Unidentified {
    /// The abbreviation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ring => "r",
            Self::Marker => "mar",
            Self::DoubleMinute => "dmin",
        }
    }
}

/// One thing that varies on a chromosome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Arm, none for the centromere (`cenh`).
    pub arm: Option<Arm>,
    /// Band that carries it: `1q41h+`.
    pub band: Option<String>,
    /// `h`, `s`, `stk`.
    pub feature: VariantFeature,
    /// Written twice: `13pss`, two satellites.
    pub double: bool,
    /// Larger (true) or smaller (false); none where it is only said to be there: `17ps`.
    pub larger: Option<bool>,
}

/// What a heteromorphism varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariantFeature {
    /// `h`.
    Heterochromatin,
    /// `stk`.
    Stalk,
    /// `s`.
    Satellite,
}

impl VariantFeature {
    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Heterochromatin => "h",
            Self::Stalk => "stk",
            Self::Satellite => "s",
        }
    }
}

/// Short or long arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arm {
    /// p.
    Short,
    /// q.
    Long,
}

impl Arm {
    /// `p` or `q`.
    pub fn letter(self) -> char {
        match self {
            Self::Short => 'p',
            Self::Long => 'q',
        }
    }
}

/// A chromosome inside an abnormality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChromosomeRef {
    /// Which; none for `?`.
    pub class: Option<ChromosomeClass>,
    /// A question mark before a known number.
    pub uncertain: bool,
    /// Arm after the number: `dup(6p)`.
    pub arm: Option<Arm>,
}

impl ChromosomeRef {
    /// A chromosome without doubt.
    pub fn known(class: ChromosomeClass) -> Self {
        Self { class: Some(class), uncertain: false, arm: None }
    }

    /// True for X and Y.
    pub fn is_sex(&self) -> bool {
        self.class.is_some_and(ChromosomeClass::is_sex)
    }
}

/// `t(9;22)(q34;q11.2)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// A question mark before it, inside a derivative.
    pub uncertain: bool,
    /// `psu` before dic and idic.
    pub pseudo: bool,
    /// What happened.
    pub kind: Abbreviation,
    /// To which chromosomes.
    pub chromosomes: Vec<ChromosomeRef>,
    /// Breakpoints, a group a chromosome; empty when not given. Of a detailed description they are left empty.
    pub breakpoints: Vec<Vec<Breakpoint>>,
    /// The detailed system's description in place of breakpoints: `(pter→q13::q33→qter)`.
    pub detailed: Option<Detailed>,
}

/// A detailed description: the pieces of the new chromosomes from end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detailed {
    /// As written, with arrows as one sign.
    pub text: String,
    /// Every band it names, in the order written, with its chromosome where that is known.
    pub bands: Vec<(Option<ChromosomeClass>, Arm, String)>,
}

impl Detailed {
    /// Arms of the bands at which it broke; where it names ends alone, theirs.
    pub fn arms(&self) -> Vec<Arm> {
        let is_end = |band: &str| band == "ter";
        let all_ends = self.bands.iter().all(|(_, _, band)| is_end(band));
        self.bands.iter().filter(|(_, _, band)| all_ends || !is_end(band)).map(|(_, arm, _)| *arm).collect()
    }
}

/// A breakpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakpoint {
    /// A question mark before a known arm: `?q21`.
    pub uncertain: bool,
    /// Arm; none for `?`.
    pub arm: Option<Arm>,
    /// Band after the arm, with question marks as written: `21.3`, `2?`, `?`, `ter`.
    pub band: String,
    /// The far end of `q21~24`.
    pub until: Option<(Arm, String)>,
    /// The other reading of `p13.3 or q13.3`.
    pub or: Option<Box<Breakpoint>>,
}

macro_rules! abbreviations {
    ($($variant:ident $name:literal $doc:literal),* $(,)?) => {
        /// Structural abbreviations, in the order of their alphabet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Abbreviation {
            $(#[doc = $doc] $variant),*
        }

        impl Abbreviation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As written.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// In words.
            pub fn words(self) -> &'static str {
                match self { $(Self::$variant => $doc),* }
            }
        }
    };
}

impl Abbreviation {
    /// Breakage of chromosomes or chromatids, as clastogens make it: what is scored, not what a clone has.
    pub fn is_breakage(self) -> bool {
        use Abbreviation as A;
        matches!(
            self,
            A::Chtb | A::Chte | A::Chtg | A::Chrb | A::Chre | A::Chrg | A::Complex | A::Quadriradial | A::Triradial
        )
    }

    /// Says something of a chromosome that is there anyway: an X or Y so named does not count beside the complement.
    pub(super) fn leaves_number(self) -> bool {
        self.is_breakage() || self == Self::Upd
    }
}

abbreviations! {
    Add "add" "added material",
    Chrb "chrb" "chromosome break",
    Chre "chre" "chromosome exchange",
    Chrg "chrg" "chromosome gap",
    Chtb "chtb" "chromatid break",
    Chte "chte" "chromatid exchange",
    Chtg "chtg" "chromatid gap",
    Complex "cx" "complex rearrangement",
    Del "del" "deletion",
    Der "der" "derivative",
    Dic "dic" "dicentric",
    Dup "dup" "duplication",
    Fis "fis" "fission",
    Fra "fra" "fragile site",
    Hsr "hsr" "homogeneously staining region",
    Iso "i" "isochromosome",
    Ider "ider" "isoderivative",
    Idic "idic" "isodicentric",
    Ins "ins" "insertion",
    Inv "inv" "inversion",
    Neo "neo" "neocentromere",
    Qdp "qdp" "quadruplication",
    Quadriradial "qr" "quadriradial",
    Ring "r" "ring",
    Rec "rec" "recombinant",
    Rob "rob" "Robertsonian",
    Trans "t" "translocation",
    Tas "tas" "telomeric association",
    Triradial "tr" "triradial",
    Trc "trc" "tricentric",
    Trp "trp" "triplication",
    Upd "upd" "uniparental disomy",
    Var "var" "variant",
}
