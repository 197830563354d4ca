//! What must fit together in a manifest.

use super::{input::median_diagonal, *};

/// A fault of a manifest: its key, and in words what was expected.
fn wrong(key: &str, text: impl Into<String>) -> Result<(), String> {
    Err(format!("{key}: {}", text.into()))
}

impl Manifest {
    /// The first fault, with its key, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_files()?;
        self.check_input()?;
        match (self.task, self.output.decoding) {
            (Task::Detector, Decoding::LtrbGrid) => self.check_detector()?,
            (Task::Classifier | Task::Triage | Task::Dicentric, Decoding::Logits) => self.check_crops()?,
            (Task::Anatomy, Decoding::Maps) => {
                self.check_crops()?;
                self.check_maps()?;
            }
            (task, decoding) => return wrong("[output] decoding", format!("a {task} cannot be read as '{decoding}'")),
        }
        self.check_classifier()?;
        self.check_numbers()
    }

    fn check_files(&self) -> Result<(), String> {
        if self.file.is_empty() {
            return wrong("[[file]]", "expected at least one network file, found none");
        }
        if let Some(context) = &self.context {
            if self.task != Task::Classifier || context.file.precision != Precision::F32 {
                return wrong("[context]", "expected in a classifier alone, its file in f32");
            }
            context.calibration.check("[context] calibration")?;
            if let Some(merging) = &context.merging {
                merging.check()?;
            }
        }
        for file in self.file.iter().chain(self.context.iter().map(|context| &context.file)) {
            if file.sha256.len() != 64 || !file.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                return wrong(
                    "[[file]] sha256",
                    format!("expected 64 hexadecimal digits, found '{}' for {}", file.sha256, file.path),
                );
            }
            if std::path::Path::new(&file.path).components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
                return wrong("[[file]] path", format!("'{}' must lie within the model folder", file.path));
            }
            if let Some(stain) = file.stains.iter().find(|stain| !self.input.stains.contains(stain)) {
                return wrong(
                    "[[file]] stains",
                    format!("expected stains of [input] stains, found '{}'", stain.name()),
                );
            }
        }
        if !self.file[0].stains.is_empty() {
            return wrong("[[file]] stains", format!("expected none for the first file, '{}'", self.file[0].path));
        }
        Ok(())
    }

    /// What every network's input states.
    fn check_input(&self) -> Result<(), String> {
        let input = &self.input;
        if input.layout != "nchw" {
            return wrong("[input] layout", format!("expected 'nchw', found '{}'", input.layout));
        }
        if !(input.std > 0.0 && input.std.is_finite() && input.mean.is_finite()) {
            return wrong("[input] std", format!("expected a number above 0, found {}", input.std));
        }
        if !(input.scale.factor > 0.0 && input.scale.factor.is_finite()) {
            return wrong("[input] scale.factor", format!("expected above 0, found {}", input.scale.factor));
        }
        if let Some(width) = input.scale.reference_width_px
            && !(width > 0.0 && width.is_finite())
        {
            return wrong("[input] scale.reference_width_px", format!("expected above 0, found {width}"));
        }
        if let Some(Background { percentile, level }) = input.background
            && !(percentile > 0.0 && percentile <= 1.0 && (1.0..=255.0).contains(&level))
        {
            return wrong(
                "[input] background",
                format!("expected percentile in (0, 1] and level in 1..255, found {percentile} and {level}"),
            );
        }
        Ok(())
    }

    fn check_detector(&self) -> Result<(), String> {
        let input = &self.input;
        if input.stride.is_none_or(|stride| stride == 0) {
            return wrong("[input] stride", "a detector needs the multiple its sides must be");
        }
        if !matches!(input.channels, 1 | 3) {
            return wrong("[input] channels", format!("expected 1 or 3 for a detector, found {}", input.channels));
        }
        if self.output.strides.is_empty() || self.output.strides.contains(&0) {
            return wrong("[output] strides", "a detector needs at least one stride above 0");
        }
        if let Some(OverlapPrice { free, price }) = self.thresholds.overlap
            && !((0.0..1.0).contains(&free) && price >= 0.0 && price.is_finite())
        {
            return wrong(
                "[thresholds] overlap",
                format!("expected free from 0 to below 1 and price of at least 0, found {free} and {price}"),
            );
        }
        if self.thresholds.score_channel == ScoreChannel::Single && self.single_channel().is_none() {
            return wrong("[thresholds] use", "'single' needs [output] extra = [\"single\"]");
        }
        Ok(())
    }

    /// Input of a network that takes crops of single chromosomes.
    fn check_crops(&self) -> Result<(), String> {
        let input = &self.input;
        if input.size.is_none_or(|size| size == 0) {
            return wrong("[input] size", format!("a {} needs the side of its square input", self.task));
        }
        let expected = 1 + usize::from(input.mask != MaskRule::None);
        if input.channels != expected && !(input.channels == 3 && expected == 1) {
            return wrong(
                "[input] channels",
                format!("expected {expected} with mask = '{}', found {}", input.mask, input.channels),
            );
        }
        if input.sizes_over != median_diagonal() {
            return wrong("[input] sizes_over", format!("expected 'median-diagonal', found '{}'", input.sizes_over));
        }
        let crop = input.crop;
        if !(crop.margin > 0.0 && crop.floor >= 0.0 && (1..=8).contains(&crop.supersample)) {
            return wrong("[input] crop", format!("expected margin > 0, floor >= 0, supersample 1..8, found {crop:?}"));
        }
        if let Some(doubt) = &input.doubt
            && !((0.0..=1.0).contains(&doubt.below) && doubt.turns.iter().all(|turn| (1..=7).contains(turn)))
        {
            return wrong("[input] doubt", format!("expected below in 0..1 and turns in 1..7, found {doubt:?}"));
        }
        if input.size_tensor.is_some() == input.sizes.is_empty() {
            return wrong("[input] sizes", "size_tensor and sizes go together: give both or neither");
        }
        Ok(())
    }

    /// What an anatomy network gives.
    fn check_maps(&self) -> Result<(), String> {
        let OutputSpec { maps, subpixel, .. } = &self.output;
        if *maps != ANATOMY_MAPS {
            let (expected, found) = (ANATOMY_MAPS.join(", "), maps.join(", "));
            return wrong("[output] maps", format!("expected {expected}, found {found}"));
        }
        let size = self.input.size.unwrap_or(0);
        if !(1..=8).contains(subpixel) || !size.is_multiple_of(*subpixel) {
            return wrong("[output] subpixel", format!("expected a divisor of {size} from 1 to 8, found {subpixel}"));
        }
        let t = &self.thresholds;
        if t.centromere_reach > 48 {
            return wrong("[thresholds] centromere_reach", format!("expected 0..48, found {}", t.centromere_reach));
        }
        let open = |v: f32| v > 0.0 && v < 1.0;
        let cuts = [t.mask_of.g_band, t.mask_of.giemsa, t.mask_of.dapi, t.mask_of.q_band];
        if !(open(t.mask)
            && cuts.into_iter().flatten().all(open)
            && open(t.centromere)
            && t.centromere_apart >= 0.0
            && (0.0..=100.0).contains(&t.way_centromere))
        {
            return wrong(
                "[thresholds]",
                format!(
                    "expected mask, mask_of and centromere between 0 and 1, centromere_apart of at least 0 and way_centromere \
                     in 0..100, found {}, {}, {} and {}",
                    t.mask, t.centromere, t.centromere_apart, t.way_centromere
                ),
            );
        }
        Ok(())
    }

    fn check_classifier(&self) -> Result<(), String> {
        if self.task == Task::Classifier && !self.output.extra.is_empty() && !self.refines() {
            let expected = REFINEMENT.join(", ");
            return wrong(
                "[output] extra",
                format!("expected {expected} or nothing, found {}", self.output.extra.join(", ")),
            );
        }
        if self.task == Task::Classifier && self.output.classes.is_empty() {
            return wrong("[output] classes", "a classifier needs its class names");
        }
        Ok(())
    }

    /// Thresholds and calibration.
    fn check_numbers(&self) -> Result<(), String> {
        let t = &self.thresholds;
        let positive = [
            ("[thresholds] nms_iou", t.nms_iou),
            ("[thresholds] nms_same_class_iou", t.nms_same_class_iou),
            ("[calibration] temperature", self.calibration.temperature),
            ("[calibration] class_temperature", self.calibration.class_temperature),
            ("[calibration] combined_temperature", self.calibration.combined_temperature),
        ];
        for (key, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return wrong(key, format!("expected above 0, found {value}"));
            }
        }
        self.calibration.check("[calibration]")?;
        if !(t.other_weight >= 0.0 && t.other_weight.is_finite()) {
            return wrong("[thresholds] other_weight", format!("expected 0 or above, found {}", t.other_weight));
        }
        if !(0.0..=1.0).contains(&t.score) || !(0.0..=1.0).contains(&t.candidate) {
            return wrong("[thresholds]", format!("scores lie in 0..1, found {} and {}", t.score, t.candidate));
        }
        Ok(())
    }
}

impl Merging {
    fn check(&self) -> Result<(), String> {
        let overlaps = [self.nms_iou, self.nms_same_class_iou, self.iou, self.same_class_iou, self.lend_iou];
        if !(overlaps.iter().all(|v| *v > 0.0 && *v <= 1.0) && (0.0..1.0).contains(&self.least)) {
            return wrong(
                "[context] merging",
                format!("expected overlaps above 0 and up to 1 and least from 0 to below 1, found {self:?}"),
            );
        }
        Ok(())
    }
}

impl Calibration {
    /// What makes a candidate's probability.
    fn check(&self, table: &str) -> Result<(), String> {
        let [slope, intercept, single] = self.objectness;
        if !(slope > 0.0 && slope.is_finite()) {
            return wrong(&format!("{table} objectness (slope)"), format!("expected above 0, found {slope}"));
        }
        if !intercept.is_finite() || !(0.0..=100.0).contains(&single) {
            return wrong(&format!("{table} objectness"), "expected [slope, intercept, single], single in 0..100");
        }
        if !(0.0..=100.0).contains(&self.iou_weight) {
            return wrong(&format!("{table} found"), format!("expected 0..100, found {}", self.iou_weight));
        }
        Ok(())
    }
}
