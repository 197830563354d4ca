//! The curve with its band, calibration points and the estimate, for a report or the page.

use dosimetry::{Bounded, Estimate, FitPoint, Gray, Level, Response, Yield, yield_limits};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::sync::OnceLock;

const CURVE: RGBColor = RGBColor(31, 78, 121);
const WHOLE: RGBColor = RGBColor(192, 57, 43);
const PART: RGBColor = RGBColor(125, 60, 152);
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(228, 228, 228);

/// What to draw.
pub struct DosePlot<'a> {
    /// The curve.
    pub response: Response<'a>,
    /// Level of its band.
    pub band: Level,
    /// Calibration points.
    pub points: &'a [FitPoint],
    /// The estimate to mark.
    pub estimate: Option<&'a Estimate>,
    /// Title.
    pub title: String,
    /// Highest dose drawn; none for one that fits.
    pub to: Option<Gray>,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

type Chart<'c, B> = ChartContext<'c, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// Ends of the axes, and how large text and strokes are.
#[derive(Clone, Copy)]
struct Scale {
    /// Highest dose, Gy.
    to: f64,
    /// Highest yield.
    top: f64,
    /// Pixels of one point.
    unit: f64,
}

impl Scale {
    /// Points in pixels.
    fn pt(self, size: f64) -> i32 {
        (size * self.unit).round() as i32
    }

    /// Width of a line in pixels.
    fn stroke(self) -> u32 {
        self.pt(2.0).max(1) as u32
    }
}

impl DosePlot<'_> {
    /// The curve's yield at a dose in gray.
    fn expected(&self, dose: f64) -> f64 {
        self.response.yield_at(Gray::clamped(dose)).value()
    }

    /// That yield and `factor` standard errors more.
    fn band(&self, dose: f64, factor: f64) -> f64 {
        self.expected(dose) + factor * self.response.error_at(Gray::clamped(dose)).value()
    }

    /// As SVG text.
    pub fn svg(&self) -> Result<String, String> {
        let mut text = String::new();
        let area = SVGBackend::with_string(&mut text, self.size).into_drawing_area();
        self.draw(&area).map_err(|error| format!("the drawing failed: {error}"))?;
        drop(area);
        Ok(text)
    }

    /// As a PNG file's bytes.
    pub fn png(&self) -> Result<Vec<u8>, String> {
        let (width, height) = self.size;
        // Drawn twice as large and averaged: lines come out smooth.
        let large = (2 * width, 2 * height);
        let mut drawn = vec![255u8; large.0 as usize * large.1 as usize * 3];
        let area = BitMapBackend::with_buffer(&mut drawn, large).into_drawing_area();
        DosePlot { title: self.title.clone(), size: large, ..*self }
            .draw(&area)
            .map_err(|error| format!("the drawing failed: {error}"))?;
        drop(area);
        let row = large.0 as usize * 3;
        let at = |x: usize, y: usize, c: usize| u16::from(drawn[y * row + x * 3 + c]);
        let mut pixels = Vec::with_capacity(drawn.len() / 4);
        for y in (0..large.1 as usize).step_by(2) {
            for x in (0..large.0 as usize).step_by(2) {
                let mean = |c| (at(x, y, c) + at(x + 1, y, c) + at(x, y + 1, c) + at(x + 1, y + 1, c) + 2) / 4;
                pixels.extend([0, 1, 2].map(|c| mean(c) as u8));
            }
        }
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::write_buffer_with_format(
            &mut bytes,
            &pixels,
            width,
            height,
            image::ExtendedColorType::Rgb8,
            image::ImageFormat::Png,
        )
        .map_err(|error| format!("the PNG cannot be written: {error}"))?;
        Ok(bytes.into_inner())
    }

    /// Highest dose and yield to show.
    fn ranges(&self) -> (f64, f64) {
        let of_points = self.points.iter().map(|p| p.dose.value()).fold(0.0, f64::max) * 1.04;
        let marks = self.estimate.map(|e| {
            let part = e.partial_body.map_or(0.0, |p| p.dose_gy.high.unwrap_or(p.dose_gy.value));
            e.dose_gy.high.unwrap_or(e.dose_gy.value * 1.3).max(part)
        });
        let usual = self.response.curve().dose_range().map_or(5.0, |(_, high)| high.value());
        let to = match (self.to, marks) {
            (Some(to), _) if to.value() > 0.0 => to.value(),
            (_, Some(marks)) if of_points == 0.0 => (1.35 * marks).clamp(0.5, 1e3),
            (_, marks) => of_points.max(marks.unwrap_or(0.0) * 1.1).max(if of_points == 0.0 { usual } else { 0.0 }),
        };
        let top = self.points.iter().map(|p| yield_limits(&p.sample, self.band).high.map_or(0.0, Yield::value));
        let band = self.band(to, self.factor()).min(1.6 * self.expected(to).max(1e-6));
        (to, 1.06 * top.fold(band, f64::max).max(1e-3))
    }

    fn scale(&self) -> Scale {
        let (to, top) = self.ranges();
        // Text grows with the drawing.
        let unit = (f64::from(self.size.0.min(self.size.1 * 3 / 2)) / 900.0).max(0.5);
        Scale { to, top, unit }
    }

    fn factor(&self) -> f64 {
        self.response.band_factor(self.band)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, plotters::coord::Shift>) -> Drawn<B> {
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        REGISTERED.get_or_init(|| {
            plotters::style::register_font("sans-serif", FontStyle::Normal, karyotype::karyogram::font::FILE).is_ok()
        });
        let scale = self.scale();
        let pt = move |size| scale.pt(size);
        area.fill(&WHITE)?;
        let counted = self.response.curve().assay().name();
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", pt(22.0)).into_font().color(&INK))
            .margin(pt(14.0))
            .margin_right(pt(24.0))
            .x_label_area_size(pt(52.0))
            .y_label_area_size(pt(74.0))
            .build_cartesian_2d(0.0..scale.to, 0.0..scale.top)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_desc("dose, Gy")
            .y_desc(format!("{counted} per cell"))
            .x_label_formatter(&|v| tick(*v))
            .y_label_formatter(&|v| tick(*v))
            .label_style(("sans-serif", pt(14.0)).into_font().color(&INK))
            .axis_desc_style(("sans-serif", pt(16.0)).into_font().color(&INK))
            .draw()?;

        self.draw_curve(&mut chart, scale)?;
        self.draw_points(&mut chart, scale)?;
        self.draw_estimate(&mut chart, scale)?;
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .margin(pt(12.0) as u32)
            .legend_area_size(pt(30.0))
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .label_font(("sans-serif", pt(14.0)).into_font().color(&INK))
            .draw()?;
        let faint = INK.mix(0.7);
        let notice = TextStyle::from(("sans-serif", pt(11.0)).into_font())
            .color(&faint)
            .pos(Pos::new(HPos::Right, VPos::Bottom));
        let corner = (self.size.0 as i32 - pt(8.0), self.size.1 as i32 - pt(4.0));
        area.draw(&Text::new("research use only", corner, notice))?;
        area.present()
    }

    /// The curve with its band.
    fn draw_curve<'c, B: DrawingBackend + 'c>(&self, chart: &mut Chart<'c, B>, scale: Scale) -> Drawn<B> {
        let Scale { to, top, .. } = scale;
        let pt = move |size| scale.pt(size);
        let half = pt(11.0);
        let doses = || (0..=300).map(|i| to * f64::from(i) / 300.0);
        let factor = self.factor();
        let banded = self.response.error_at(Gray::clamped(to)).value() > 0.0;
        if banded {
            let upper = doses().map(|d| (d, self.band(d, factor).clamp(0.0, top)));
            let lower = doses().map(|d| (d, self.band(d, -factor).clamp(0.0, top)));
            let mut outline: Vec<(f64, f64)> = upper.collect();
            outline.extend(lower.collect::<Vec<_>>().into_iter().rev());
            let name = format!("{:.0} % band of the curve", self.band.value() * 100.0);
            chart.draw_series(std::iter::once(Polygon::new(outline, CURVE.mix(0.15))))?.label(name).legend(
                move |(x, y)| Rectangle::new([(x, y - pt(5.0)), (x + 2 * half, y + pt(5.0))], CURVE.mix(0.15).filled()),
            );
        }
        let line: Vec<(f64, f64)> = doses().map(|d| (d, self.expected(d))).take_while(|(_, y)| *y <= top).collect();
        let stroke = scale.stroke();
        chart
            .draw_series(LineSeries::new(line, CURVE.stroke_width(stroke)))?
            .label(self.response.curve().id())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 2 * half, y)], CURVE.stroke_width(stroke)));
        Ok(())
    }

    /// The calibration points with their limits.
    fn draw_points<'c, B: DrawingBackend + 'c>(&self, chart: &mut Chart<'c, B>, scale: Scale) -> Drawn<B> {
        let Scale { to, top, .. } = scale;
        let pt = move |size| scale.pt(size);
        let half = pt(11.0);
        let stroke = scale.stroke();
        if self.points.is_empty() {
            return Ok(());
        }
        let arm = to * 0.006;
        for p in self.points {
            let (d, found) = (p.dose.value(), yield_limits(&p.sample, self.band));
            let (low, high) = (found.low.map_or(0.0, Yield::value), found.high.map_or(top, Yield::value).min(top));
            let strokes = [[(d, low), (d, high)], [(d - arm, low), (d + arm, low)], [(d - arm, high), (d + arm, high)]];
            chart.draw_series(strokes.map(|ends| PathElement::new(ends, INK.stroke_width((stroke / 2).max(1)))))?;
        }
        chart
            .draw_series(
                self.points
                    .iter()
                    .map(|p| Circle::new((p.dose.value(), p.sample.mean().value()), pt(3.0), INK.filled())),
            )?
            .label("calibration points")
            .legend(move |(x, y)| Circle::new((x + half, y), pt(3.0), INK.filled()));
        Ok(())
    }

    /// The estimate of the whole body and of an exposed part, each with its limits.
    fn draw_estimate<'c, B: DrawingBackend + 'c>(&self, chart: &mut Chart<'c, B>, scale: Scale) -> Drawn<B> {
        let Scale { to, top, .. } = scale;
        let pt = move |size| scale.pt(size);
        let half = pt(11.0);
        let stroke = scale.stroke();
        let Some(e) = self.estimate else { return Ok(()) };
        let whole = Bounded { value: e.dose_gy.value, low: e.dose_gy.low, high: e.dose_gy.high };
        let mut marks = vec![(whole, e.yield_.value, WHOLE, "whole body")];
        if let Some(p) = &e.partial_body {
            marks.push((p.dose_gy, p.yield_.value, PART, "exposed part"));
        }
        for (dose, y, colour, what) in marks {
            let (low, high) = (dose.low.unwrap_or(0.0), dose.high.unwrap_or(to).min(to));
            let strip = Rectangle::new([(low, 0.0), (high, top)], colour.mix(0.10).filled());
            let upper = dose.high.map_or("not bounded".into(), |h| format!("{h:.2}"));
            let label = format!("{what}: {:.2} Gy ({low:.2} to {upper})", dose.value);
            chart
                .draw_series(std::iter::once(strip))?
                .label(label)
                .legend(move |(x, y)| Circle::new((x + half, y), pt(4.5), colour.filled()));
            let cross = [(0.0, y.min(top)), (dose.value, y.min(top)), (dose.value, 0.0)];
            chart.draw_series(DashedLineSeries::new(
                cross,
                pt(6.0) as u32,
                pt(4.0) as u32,
                colour.stroke_width(stroke),
            ))?;
            let foot = [(low, 0.0), (high, 0.0)];
            chart.draw_series(LineSeries::new(foot, colour.stroke_width(3 * stroke)))?;
            chart.draw_series(std::iter::once(Circle::new(
                (dose.value.min(to), y.min(top)),
                pt(5.0),
                colour.filled(),
            )))?;
        }
        Ok(())
    }
}

/// Axis labels without needless digits.
fn tick(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dosimetry::{Sample, Settings, built_in, estimate};

    #[test]
    fn a_drawing_holds_the_estimate_in_both_formats() {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let sample = Sample::from_histogram(vec![302, 28, 22, 8, 1, 0]).expect("counts");
        let found = estimate(&sample, &curve, &Settings::default()).expect("estimate");
        let picture = DosePlot {
            response: curve.acute(),
            band: Level::P95,
            points: &[FitPoint { dose: Gray::clamped(1.0), sample }],
            estimate: Some(&found),
            title: "A <title> & more".into(),
            to: None,
            size: (600, 400),
        };
        let svg = picture.svg().expect("svg");
        assert!(svg.contains("whole body: 1.93 Gy") && svg.contains("exposed part: 4.14 Gy"), "{svg}");
        assert!(svg.contains("&lt;title&gt;"), "the title is escaped");
        let png = picture.png().expect("png");
        let decoded = image::load_from_memory(&png).expect("a PNG").to_rgb8();
        assert_eq!(decoded.dimensions(), (600, 400));
        assert!(decoded.pixels().any(|p| p.0 == [192, 57, 43]), "the estimate's colour is there");
    }

    #[test]
    fn curves_without_errors_or_points_can_be_drawn_too() {
        for id in ["proton_4_9mev", "co60_supra_high_2011", "alpha_23mev_linear"] {
            let curve = built_in(id).expect("curve");
            let picture = DosePlot {
                response: curve.acute(),
                band: Level::P95,
                points: &[],
                estimate: None,
                title: id.into(),
                to: None,
                size: (300, 200),
            };
            assert!(picture.svg().is_ok_and(|svg| svg.starts_with("<svg")), "{id}");
        }
    }
}
