//! How objects are shown.

mod json;
mod tabs;
pub mod template;
mod yaml;

use std::io::Write as _;

use serde_json::Value;

pub use tabs::Tabs;
pub use template::Template;

/// `-o`, as kubectl has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Wide,
    Yaml,
    Json,
    Name,
    JsonPath(Template),
    Columns(Vec<(String, Template)>),
}

/// Columns to add to the server's table.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    pub wide: bool,
    pub namespace: bool,
    pub all_labels: bool,
    /// A column each for these labels.
    pub labels: Vec<String>,
    pub no_headers: bool,
}

/// Reads `-o`.
pub fn output(text: &str) -> Result<Output, String> {
    let (form, argument) = text.split_once('=').unwrap_or((text, ""));
    match form {
        "wide" => Ok(Output::Wide),
        "yaml" => Ok(Output::Yaml),
        "json" => Ok(Output::Json),
        "name" => Ok(Output::Name),
        "jsonpath" if argument.is_empty() => {
            Err("template format specified but no template given".into())
        }
        "jsonpath" => Template::parse(argument).map(Output::JsonPath),
        "custom-columns" => columns(argument).map(Output::Columns),
        _ => Err(format!(
            "unable to match a printer suitable for the output format \"{text}\", \
             allowed formats are: custom-columns,json,jsonpath,name,wide,yaml"
        )),
    }
}

/// `NAME:.metadata.name,IMAGE:.spec.containers[*].image`.
fn columns(text: &str) -> Result<Vec<(String, Template)>, String> {
    if text.is_empty() {
        return Err("custom-columns format specified but no custom columns given".into());
    }
    let column = |text: &str| {
        let (name, path) = text.split_once(':').ok_or_else(|| {
            format!("unexpected custom-columns spec: {text}, expected <header>:<json-path-expr>")
        })?;
        Ok((name.to_owned(), Template::parse_path(path)?))
    };
    text.split(',').map(column).collect()
}

/// Writes to stdout. A reader that went away, such as `head`, ends the command.
pub fn out(text: &str) {
    out_bytes(text.as_bytes());
}

pub fn out_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(bytes);
    if written.and_then(|()| stdout.flush()).is_err() {
        std::process::exit(1);
    }
}

/// The whole object, in a form that is not a table.
pub fn whole(object: &Value, output: &Output, show_managed_fields: bool) -> anyhow::Result<String> {
    let mut object = object.clone();
    if !show_managed_fields {
        strip_managed_fields(&mut object);
    }
    match output {
        Output::Json => Ok(json::pretty(&object)? + "\n"),
        Output::JsonPath(template) => Ok(template.fill(&object)),
        _ => Ok(yaml::document(&object)),
    }
}

fn strip_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let items = object.get_mut("items").and_then(Value::as_array_mut);
    items.into_iter().flatten().for_each(strip_managed_fields);
}

/// Objects in columns of the user's own.
pub fn custom(objects: &[Value], columns: &[(String, Template)], no_headers: bool) -> String {
    let mut lines = String::new();
    if !no_headers {
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        lines.push_str(&(names.join("\t") + "\n"));
    }
    for object in objects {
        let cells: Vec<String> = columns
            .iter()
            .map(|(_, path)| {
                let found: Vec<String> = path
                    .values(object)
                    .into_iter()
                    .map(template::text_of)
                    .collect();
                if found.is_empty() {
                    "<none>".into()
                } else {
                    found.join(",")
                }
            })
            .collect();
        lines.push_str(&(cells.join("\t") + "\n"));
    }
    Tabs::TABLE.align(&lines)
}

/// The rows of a server's `Table`, cells with tabs between them; `prefix`
/// (`pod/`) goes before names.
pub fn rows(table: &Value, extra: &Extra, prefix: &str) -> String {
    let columns = table["columnDefinitions"].as_array();
    let columns = columns.map_or(&[] as &[Value], Vec::as_slice);
    let is_shown = |column: &Value| extra.wide || column["priority"].as_i64().unwrap_or(0) == 0;
    let shown: Vec<usize> = (0..columns.len())
        .filter(|at| is_shown(&columns[*at]))
        .collect();
    let mut lines = String::new();
    if !extra.no_headers {
        let name = |at: &usize| {
            columns[*at]["name"]
                .as_str()
                .unwrap_or_default()
                .to_uppercase()
        };
        let own = shown.iter().map(name).collect();
        let heads = extra
            .labels
            .iter()
            .map(|label| label.rsplit('/').next().unwrap_or(label).to_uppercase());
        push_line(
            &mut lines,
            own,
            extra,
            "NAMESPACE",
            heads.collect(),
            "LABELS",
        );
    }
    for row in table["rows"].as_array().into_iter().flatten() {
        let mut cells: Vec<String> = shown.iter().map(|at| cell(&row["cells"][*at])).collect();
        if let Some(first) = cells.first_mut() {
            first.insert_str(0, prefix);
        }
        let metadata = &row["object"]["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let chosen = extra.labels.iter().map(|label| {
            metadata["labels"][label]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        });
        push_line(
            &mut lines,
            cells,
            extra,
            namespace,
            chosen.collect(),
            &labels(metadata),
        );
    }
    lines
}

fn push_line(
    lines: &mut String,
    mut cells: Vec<String>,
    extra: &Extra,
    namespace: &str,
    chosen: Vec<String>,
    all: &str,
) {
    if extra.namespace {
        cells.insert(0, namespace.to_owned());
    }
    cells.extend(chosen);
    if extra.all_labels {
        cells.push(all.to_owned());
    }
    lines.push_str(&cells.join("\t"));
    lines.push('\n');
}

/// `a=b,c=d`, or `<none>`.
pub fn labels(metadata: &Value) -> String {
    let pairs = metadata["labels"].as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs.map(|(k, v)| format!("{k}={}", cell(v))).collect();
    if pairs.is_empty() {
        "<none>".into()
    } else {
        pairs.join(",")
    }
}

/// A cell is one line, whatever the server put in.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".into(),
        Value::String(text) => {
            text.replace('\t', " ")
                .lines()
                .next()
                .map_or_else(String::new, |first| {
                    if text.trim_end().contains('\n') {
                        format!("{first}...")
                    } else {
                        first.to_owned()
                    }
                })
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
