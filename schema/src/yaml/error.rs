//! Says what is wrong with broken YAML as Go's parser says it.

/// `line 4: mapping values are not allowed in this context`.
///
/// Go counts the lines of its parser's errors from nought and leaves line nought out;
/// those of its scanner it counts from one, except for the first line.
pub(super) fn explain(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or(&text);
    let from_nought = error.location().map_or(0, |place| place.line() - 1);
    match from_nought {
        0 => problem.to_owned(),
        line if is_of_scanner(&text) => format!("line {}: {problem}", line + 1),
        line => format!("line {line}: {problem}"),
    }
}

fn is_of_scanner(text: &str) -> bool {
    const SCANNER: &[&str] = &[
        "while scanning",
        "mapping values are not allowed",
        "block sequence entries are not allowed",
        "mapping keys are not allowed",
    ];
    SCANNER.iter().any(|words| text.contains(words))
}
