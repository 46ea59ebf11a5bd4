//! Expressions as their users see them.

mod arbitrary;
mod hostile;
mod language;
mod libraries;
mod run;
mod types;
mod wild;
