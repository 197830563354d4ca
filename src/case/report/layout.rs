//! How a report is written: the templates, built in or a laboratory's own, and the filters that they use.

use std::sync::Arc;

use minijinja::{Environment, Error, ErrorKind as TemplateErrorKind, UndefinedBehavior, Value};

use crate::laboratory::Laboratory;
use domain::{ErrorKind, HasKind};

/// The built-in templates: name and text.
pub const TEMPLATES: [(&str, &str); 10] = [
    ("report.html", include_str!("templates/report.html")),
    ("letter.html", include_str!("templates/letter.html")),
    ("karyotype.html", include_str!("templates/karyotype.html")),
    ("dose.html", include_str!("templates/dose.html")),
    ("cells.html", include_str!("templates/cells.html")),
    ("excluded.html", include_str!("templates/excluded.html")),
    ("sheet.html", include_str!("templates/sheet.html")),
    ("audit.html", include_str!("templates/audit.html")),
    ("population.html", include_str!("templates/population.html")),
    ("style.css", include_str!("templates/style.css")),
];

/// A template that makes no report.
#[derive(Debug, thiserror::Error)]
#[error("the template of the report: {0}")]
pub struct ReportError(String);

impl From<Error> for ReportError {
    fn from(error: Error) -> Self {
        let place = error.name().map(|name| format!("{name}:{}: ", error.line().unwrap_or_default()));
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        Self(format!("{}{}{detail}{cause}", place.unwrap_or_default(), error.kind()))
    }
}

impl HasKind for ReportError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Config
    }
}

/// The templates in force.
pub struct Layout {
    environment: Environment<'static>,
    laboratory: Arc<Laboratory>,
}

impl Layout {
    /// The built-in templates with those of the laboratory in the place of theirs.
    ///
    /// # Errors
    /// A template that cannot be read, with its line.
    pub fn new(laboratory: Laboratory) -> Result<Self, ReportError> {
        let laboratory = Arc::new(laboratory);
        let mut environment = Environment::new();
        // What a template names wrongly must not print as nothing.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        for (name, text) in &laboratory.templates {
            environment.add_template_owned(name.clone(), text.clone())?;
        }
        filters(&mut environment, &laboratory);
        Ok(Self { environment, laboratory })
    }

    /// Whose layout it is.
    pub fn laboratory(&self) -> &Laboratory {
        &self.laboratory
    }

    /// Writes a template with `context`; the words and the laboratory are given to it as well.
    ///
    /// # Errors
    /// What the template cannot do, with its line.
    pub fn write(&self, template: &str, context: Value) -> Result<String, ReportError> {
        let style = self.environment.get_template("style.css")?.render(())?;
        let shared = minijinja::context! {
            t => &self.laboratory.texts, lab => &*self.laboratory, style => Value::from_safe_string(style),
        };
        let context = minijinja::context! { ..context, ..shared };
        Ok(self.environment.get_template(template)?.render(context)?)
    }
}

fn number(value: &Value) -> Result<Option<f64>, Error> {
    if value.is_none() || value.is_undefined() {
        return Ok(None);
    }
    f64::try_from(value.clone())
        .map(Some)
        .map_err(|_| Error::new(TemplateErrorKind::InvalidOperation, format!("expected a number, found '{value}'")))
}

/// `time`, `day`: in the laboratory's form. `number(places)`, `bound(places)` ("not bounded" for none), `available(places)`,
/// `range(places, factor)` of an object with `value`, `low` and `high`.
fn filters(environment: &mut Environment<'static>, laboratory: &Arc<Laboratory>) {
    let lab = Arc::clone(laboratory);
    environment.add_filter("time", move |text: &str| lab.time(text));
    let lab = Arc::clone(laboratory);
    environment.add_filter("day", move |text: &str| lab.day(text));
    let or = |laboratory: &Arc<Laboratory>, otherwise: &'static str| {
        let lab = Arc::clone(laboratory);
        move |value: Value, places: Option<usize>| -> Result<String, Error> {
            let words = || lab.texts.get(otherwise).cloned().unwrap_or_else(|| "–".into());
            Ok(number(&value)?.map_or_else(words, |n| lab.number(n, places.unwrap_or(0))))
        }
    };
    environment.add_filter("number", or(laboratory, ""));
    environment.add_filter("bound", or(laboratory, "dose.unbounded"));
    environment.add_filter("available", or(laboratory, "dose.not_available"));
    let bound = or(laboratory, "dose.unbounded");
    let lab = Arc::clone(laboratory);
    environment.add_filter("range", move |of: Value, places: usize, factor: Option<f64>| -> Result<String, Error> {
        let part = |name: &str| -> Result<String, Error> {
            let value = number(&of.get_attr(name)?)?.map(|n| n * factor.unwrap_or(1.0));
            bound(Value::from(value), Some(places))
        };
        Ok(format!("{} ({} {} {})", part("value")?, part("low")?, lab.texts["dose.to"], part("high")?))
    });
}

/// A text as it may stand in a CSS string inside a `style` element.
pub fn css_string(text: &str) -> Value {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == ' ';
    Value::from_safe_string(
        text.chars().map(|c| if plain(c) { c.to_string() } else { format!("\\{:x} ", c as u32) }).collect(),
    )
}
