//! `$(NAME)` in commands, arguments and environment values.
//!
//! `$$` is a literal `$`; a name nobody knows stays as it was written.

/// Replaces each `$(NAME)` by what `lookup` answers for it.
pub fn expand<'a>(input: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut output = String::with_capacity(input.len());
    let mut rest = input;
    while let Some(dollar) = rest.find('$') {
        output.push_str(&rest[..dollar]);
        rest = reference(&rest[dollar + 1..], &lookup, &mut output);
    }
    output.push_str(rest);
    output
}

/// Writes what the text after a `$` stands for, and returns what follows it.
fn reference<'t, 'a>(
    after: &'t str,
    lookup: &impl Fn(&str) -> Option<&'a str>,
    output: &mut String,
) -> &'t str {
    if let Some(rest) = after.strip_prefix('$') {
        output.push('$');
        return rest;
    }
    let name = after
        .strip_prefix('(')
        .and_then(|open| open.find(')').map(|end| (&open[..end], &open[end + 1..])));
    let Some((name, rest)) = name else {
        output.push('$');
        return after;
    };
    match lookup(name) {
        Some(value) => output.push_str(value),
        None => {
            output.push_str("$(");
            output.push_str(name);
            output.push(')');
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_a(input: &str) -> String {
        expand(input, |name| (name == "A").then_some("1"))
    }

    #[test]
    fn known_names_are_replaced_and_unknown_ones_kept() {
        assert_eq!(with_a("$(A)-2 $(NOPE)"), "1-2 $(NOPE)");
    }

    #[test]
    fn two_dollars_are_one_and_stop_expansion() {
        assert_eq!(with_a("$$(A) $$$$ $$$(A)"), "$(A) $$ $1");
    }

    #[test]
    fn unfinished_references_stay_as_written() {
        assert_eq!(with_a("$(A $ $A ä$"), "$(A $ $A ä$");
    }
}
