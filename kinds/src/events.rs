//! `events.k8s.io`: the same events under other names.

pub mod event;
