//! The command line of an OCI runtime, driven as a caller drives it: `create`,
//! `start`, `kill` and the rest on bundles of config.json and a root.
//!
//! One suite for skiff, runc and crun: where a well-known runtime does not do
//! what a case expects, the case is wrong, or says why they differ. After each
//! case nothing may be left of it: no state, control group, mount or process.
//! `OCI_CASE=part` plays only cases with that part in their names.

mod callers;
mod harness;
mod machine;

macro_rules! themes {
    ($($theme:ident),* $(,)?) => {
        $(mod $theme;)*
        themes!(@on skiff Skiff $($theme)*);
        themes!(@on runc Runc $($theme)*);
        themes!(@on crun Crun $($theme)*);
    };
    (@on $name:ident $runtime:ident $($theme:ident)*) => {
        mod $name {
            $(
                #[test]
                fn $theme() {
                    let theme = stringify!($theme);
                    crate::harness::case::play(crate::harness::Runtime::$runtime, theme, crate::$theme::CASES);
                }
            )*
        }
    };
}

themes!(
    errors,
    escapes,
    exec,
    groups,
    hooks,
    hostile,
    lifecycle,
    links,
    mounts,
    namespaces,
    notify,
    paths,
    process,
    propagation,
    seccomp,
    terminal,
    usage
);
