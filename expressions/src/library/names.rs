//! Functions that no text can name: compiling puts them into programs.

/// Hands its argument on, having paid for a copy of it.
pub const COPY: &str = "@copy";
/// Hands on what a loop goes through, having paid for the copies it makes of the elements.
pub const ELEMENTS: &str = "@elements";
/// Hands on a loop's condition, having paid for its next turn.
pub const TURN: &str = "@turn";
/// `==` that pays for what it looks at.
pub const EQUALS: &str = "@equals";
pub const NOT_EQUALS: &str = "@not_equals";
/// `in` that pays for what it looks at.
pub const MEMBER: &str = "@member";

/// Key and value of what loops with two variables go through.
pub const ENTRIES: &str = "@entries";
pub const KEY: &str = "@key";
pub const VALUE: &str = "@value";
/// A map of a list of pairs, or of maps.
pub const MAP_OF_PAIRS: &str = "@map_of_pairs";
pub const MERGED: &str = "@merged";

/// Functions of the language whose results can be much larger than their arguments, or that
/// take much longer, and ours that pay as they go.
const REPLACED: [(&str, &str); 6] = [
    ("replace", "@replace"),
    ("split", "@split"),
    ("join", "@join"),
    ("matches", "@matches"),
    ("distinct", "@distinct"),
    ("lists.range", "@range"),
];

/// The function that stands in for this one.
pub fn instead_of(name: &str) -> Option<&'static str> {
    let found = REPLACED.iter().find(|(theirs, _)| *theirs == name);
    found.map(|(_, ours)| *ours)
}
