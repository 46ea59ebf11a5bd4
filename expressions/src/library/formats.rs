//! `format.dns1123Label().validate(name)`: what Kubernetes' names may be.

use apimachinery::names;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cel::common::types::{CelList, CelOptional, CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env};
use chrono::{DateTime, NaiveDate};

use super::args::{Args, Outcome, arg, global, member, text};
use super::kinds::{self, named, opaque};

/// What is wrong with a text.
type Rule = fn(&str) -> Vec<String>;

#[derive(Clone, Debug)]
struct Format {
    name: &'static str,
    rule: Rule,
}

opaque!(Format, kinds::FORMAT, |a, b| a.name == b.name);

const FORMAT: Type = named(kinds::FORMAT);

const FORMATS: [(&str, Rule); 13] = [
    ("dns1123Label", names::dns_label),
    ("dns1123Subdomain", names::dns_subdomain),
    ("dns1035Label", names::dns_1035_label),
    ("qualifiedName", names::qualified),
    ("dns1123LabelPrefix", |name| {
        names::prefix_of(names::dns_label, name)
    }),
    ("dns1123SubdomainPrefix", |name| {
        names::prefix_of(names::dns_subdomain, name)
    }),
    ("dns1035LabelPrefix", |name| {
        names::prefix_of(names::dns_1035_label, name)
    }),
    ("labelValue", names::label_value),
    ("uri", |text| {
        check(super::urls::is_url(text), "invalid URI")
    }),
    ("uuid", |text| {
        check(is_uuid(text), "does not match the UUID format")
    }),
    ("byte", |text| {
        check(STANDARD.decode(text).is_ok(), "invalid base64")
    }),
    ("date", |text| {
        check(
            text.len() == 10 && text.parse::<NaiveDate>().is_ok(),
            "invalid date",
        )
    }),
    ("datetime", |text| {
        check(
            DateTime::parse_from_rfc3339(text).is_ok(),
            "invalid datetime",
        )
    }),
];

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    global(env, "format.named", vec![STRING_TYPE], |args| {
        let wanted = text(&args, 0)?;
        let found = FORMATS.iter().find(|(name, _)| *name == wanted);
        let found =
            found.map(|(name, rule)| -> Box<dyn Val> { Box::new(Format { name, rule: *rule }) });
        Ok(CowVal::owned(CelOptional::from(found)))
    })?;
    macro_rules! by_name {
        ($($place:literal),*) => {
            $(global(env, &format!("format.{}", FORMATS[$place].0), vec![], |_| {
                let (name, rule) = FORMATS[$place];
                Ok(CowVal::owned(Format { name, rule }))
            })?;)*
        };
    }
    by_name!(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    member(env, "validate", FORMAT, vec![STRING_TYPE], validate)
}

/// The mistakes, or nothing where there are none.
fn validate<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let format = arg::<Format>(&args, 0)?;
    let mistakes = (format.rule)(text(&args, 1)?).into_iter();
    let mistakes: Vec<Box<dyn Val + 'v>> = mistakes
        .map(|mistake| Box::new(CelString::from(mistake)) as Box<dyn Val + 'v>)
        .collect();
    if mistakes.is_empty() {
        return Ok(CowVal::owned(CelOptional::none()));
    }
    Ok(CowVal::owned(CelOptional::of(Box::new(CelList::from(
        mistakes,
    )))))
}

fn check(fine: bool, otherwise: &str) -> Vec<String> {
    if fine {
        Vec::new()
    } else {
        vec![otherwise.to_owned()]
    }
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}
