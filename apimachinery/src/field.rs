//! Validation errors: where in an object, what kind of mistake, in Kubernetes' words.
//!
//! A [`Path`] lives on the stack and costs nothing until an error prints it.

use std::fmt;

use serde_json::Value;

/// A place in an object: `spec.containers[0].name`, `data[key]`.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    part: Part<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Root,
    /// One field, or several joined by dots.
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// The object itself.
    pub const ROOT: Path<'static> = Path {
        parent: None,
        part: Part::Root,
    };

    pub const fn new(field: &'a str) -> Path<'a> {
        Path {
            parent: None,
            part: Part::Field(field),
        }
    }

    /// The field below; `name` may hold dots to go down several at once.
    pub fn child(&'a self, name: &'a str) -> Path<'a> {
        self.below(Part::Field(name))
    }

    pub fn index(&'a self, index: usize) -> Path<'a> {
        self.below(Part::Index(index))
    }

    pub fn key(&'a self, key: &'a str) -> Path<'a> {
        self.below(Part::Key(key))
    }

    fn below(&'a self, part: Part<'a>) -> Path<'a> {
        Path {
            parent: Some(self),
            part,
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self.part, Part::Root) && self.parent.is_none_or(Path::is_empty)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
        }
        let dot = self.parent.is_some_and(|parent| !parent.is_empty());
        match self.part {
            Part::Root => Ok(()),
            Part::Field(name) if dot => write!(f, ".{name}"),
            Part::Field(name) => f.write_str(name),
            Part::Index(index) => write!(f, "[{index}]"),
            Part::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    TypeInvalid,
    Internal,
}

impl Mistake {
    /// The `reason` of a `Status` cause.
    pub fn reason(self) -> &'static str {
        match self {
            Mistake::NotFound => "FieldValueNotFound",
            Mistake::Required => "FieldValueRequired",
            Mistake::Duplicate => "FieldValueDuplicate",
            Mistake::Invalid => "FieldValueInvalid",
            Mistake::NotSupported => "FieldValueNotSupported",
            Mistake::Forbidden => "FieldValueForbidden",
            Mistake::TooLong => "FieldValueTooLong",
            Mistake::TooMany => "FieldValueTooMany",
            Mistake::TypeInvalid => "FieldValueTypeInvalid",
            Mistake::Internal => "InternalError",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Mistake::NotFound => "Not found",
            Mistake::Required => "Required value",
            Mistake::Duplicate => "Duplicate value",
            Mistake::Invalid | Mistake::TypeInvalid => "Invalid value",
            Mistake::NotSupported => "Unsupported value",
            Mistake::Forbidden => "Forbidden",
            Mistake::TooLong => "Too long",
            Mistake::TooMany => "Too many",
            Mistake::Internal => "Internal error",
        }
    }
}

/// One mistake at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub mistake: Mistake,
    pub field: String,
    /// What was there; `None` where Kubernetes does not show it.
    pub value: Option<Value>,
    pub detail: String,
}

impl Error {
    fn new(
        mistake: Mistake,
        path: &Path<'_>,
        value: Option<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Error {
            mistake,
            field: path.to_string(),
            value,
            detail: detail.into(),
        }
    }

    pub fn required(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(Mistake::Required, path, None, detail)
    }

    pub fn invalid(path: &Path<'_>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(Mistake::Invalid, path, Some(value.into()), detail)
    }

    pub fn type_invalid(
        path: &Path<'_>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(Mistake::TypeInvalid, path, Some(value.into()), detail)
    }

    pub fn not_supported(path: &Path<'_>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        Self::new(Mistake::NotSupported, path, Some(value.into()), detail)
    }

    pub fn duplicate(path: &Path<'_>, value: impl Into<Value>) -> Self {
        Self::new(Mistake::Duplicate, path, Some(value.into()), "")
    }

    pub fn not_found(path: &Path<'_>, value: impl Into<Value>) -> Self {
        Self::new(Mistake::NotFound, path, Some(value.into()), "")
    }

    pub fn forbidden(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(Mistake::Forbidden, path, None, detail)
    }

    pub fn too_long(path: &Path<'_>, max_bytes: usize) -> Self {
        let detail = format!("may not be more than {max_bytes} bytes");
        Self::new(Mistake::TooLong, path, None, detail)
    }

    pub fn too_many(path: &Path<'_>, actual: usize, max: usize) -> Self {
        let items = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {items}");
        Self::new(Mistake::TooMany, path, Some(actual.into()), detail)
    }

    pub fn internal(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(Mistake::Internal, path, None, detail)
    }

    /// The message without the field: `Invalid value: "x": why`.
    pub fn body(&self) -> String {
        let mut text = self.mistake.title().to_owned();
        if let Some(value) = &self.value {
            text.push_str(": ");
            text.push_str(&value.to_string());
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_prints_fields_indexes_and_keys_as_kubernetes_does() {
        let spec = Path::new("spec");
        let containers = spec.child("containers");
        let first = containers.index(0);
        let limits = first.child("resources.limits");
        assert_eq!(
            limits.key("cpu").to_string(),
            "spec.containers[0].resources.limits[cpu]"
        );
        assert_eq!(Path::ROOT.child("spec").to_string(), "spec");
    }

    #[test]
    fn texts_are_kubernetes_own() {
        let path = Path::new("spec.restartPolicy");
        let error = Error::not_supported(&path, "Sometimes", &["Always", "Never"]);
        assert_eq!(
            error.to_string(),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\""
        );
        assert_eq!(
            Error::required(&path, "").to_string(),
            "spec.restartPolicy: Required value"
        );
        assert_eq!(
            Error::invalid(&path, -1, "too small").body(),
            "Invalid value: -1: too small"
        );
        assert_eq!(
            Error::too_long(&path, 63).body(),
            "Too long: may not be more than 63 bytes"
        );
    }
}
