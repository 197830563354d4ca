//! The values that `model.toml` names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident ($what:literal) { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// The name in files and messages.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("invalid {} '{text}': expected one of {}", $what, [$($text),+].join(", "))),
                }
            }
        }
    };
}

named! {
    /// What a model does.
    Task ("task") {
        /// Finds chromosomes in a field.
        Detector = "detector",
        /// Gives a single chromosome its class.
        Classifier = "classifier",
        /// Counts centromeres.
        Dicentric = "dicentric",
        /// Separates fields with metaphases from others.
        Triage = "triage",
        /// Draws the chromosome of a box: its outline, its centromeres, its short arm.
        Anatomy = "anatomy",
    }
}

named! {
    /// Number format of a network file. Inputs and outputs are 32-bit floats in every one.
    Precision ("precision") {
        /// 32-bit floats.
        F32 = "f32",
        /// 16-bit floats.
        F16 = "f16",
        /// 16-bit brain floats.
        Bf16 = "bf16",
        /// 8-bit integers (symmetric QDQ).
        Int8 = "int8",
    }
}

named! {
    /// Which way round the network wants its pictures.
    Polarity ("polarity") {
        /// Dark chromosomes on bright background (fluorescence is inverted before).
        DarkOnBright = "dark-on-bright",
        /// Bright chromosomes on dark background (bright field is inverted before).
        BrightOnDark = "bright-on-dark",
    }
}

named! {
    /// How outputs are read.
    Decoding ("decoding") {
        /// A map a stride: distances left, top, right, bottom from the middle of the map's cell in input pixels,
        /// objectness logit, class logits, further channels.
        LtrbGrid = "ltrb-grid",
        /// One row of logits an item.
        Logits = "logits",
        /// Maps of logits over the crop: `maps` names them, `subpixel` says how they lie in the channels.
        Maps = "maps",
    }
}

named! {
    /// Which channel of a detector is the score of a box.
    ScoreChannel ("score channel") {
        /// The objectness: several cells of the map answer for one chromosome, suppression thins them.
        Objectness = "objectness",
        /// The further channel `single`: one cell answers for one chromosome.
        Single = "single",
    }
}

named! {
    /// What the second channel of a classifier's input holds.
    MaskRule ("mask") {
        /// Nothing: there is no second channel.
        None = "none",
        /// 1 where a pixel's middle lies inside the chromosome's box, 0 in the context around it.
        Box = "box",
    }
}

named! {
    /// What the chromosomes of a classifier were cut from.
    View ("view") {
        /// Boxes in a field: neighbours intrude, the way up is unknown.
        Field = "field",
        /// Cleaned single chromosomes on an even background, as in a karyogram.
        Single = "single",
    }
}

named! {
    /// A measure of how large a chromosome is within its cell, for the classifier: the natural logarithm of a measure
    /// of its box over the median diagonal of the boxes of the cell.
    SizeFeature ("size") {
        /// Diagonal of the box.
        Diagonal = "diagonal",
        /// Width of the box.
        Width = "width",
        /// Height of the box.
        Height = "height",
    }
}
