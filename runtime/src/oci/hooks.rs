//! The hooks that run beside the container, not in it, and what they are told.

use oci_spec::runtime::{ContainerState, Hook, Spec, State};

use super::place::Record;
use super::{Refusal, Result, SPEC_VERSION};
use crate::init::hooks::run_all;

/// What a hook reads on its standard input.
pub fn state(record: &Record, status: ContainerState) -> State {
    let mut state = State::default();
    state
        .set_version(SPEC_VERSION.into())
        .set_id(record.id.clone())
        .set_status(status)
        .set_pid(record.process.map(|p| p.pid))
        .set_bundle(record.bundle.clone());
    if !record.annotations.is_empty() {
        state.set_annotations(Some(record.annotations.clone()));
    }
    state
}

/// Everything is mounted, in the container's namespaces; we are in the host's.
pub fn create_runtime(spec: &Spec, record: &Record) -> Result<()> {
    let Some(hooks) = spec.hooks() else {
        return Ok(());
    };
    let state = state(record, ContainerState::Creating);
    let prestart = hooks.prestart().as_deref();
    run_all(prestart, "prestart", &state).map_err(Refusal::Start)?;
    let create_runtime = hooks.create_runtime().as_deref();
    run_all(create_runtime, "createRuntime", &state).map_err(Refusal::Start)
}

/// The program runs.
pub fn poststart(spec: &Spec, record: &Record) -> Result<()> {
    let hooks = spec.hooks().as_ref().and_then(|h| h.poststart().as_deref());
    let state = state(record, ContainerState::Running);
    run_all(hooks, "poststart", &state).map_err(Refusal::Start)
}

/// Every one of them is run; gives what failed.
pub fn poststop(spec: &Spec, record: &Record) -> Vec<String> {
    let hooks = spec.hooks().as_ref().and_then(|h| h.poststop().as_deref());
    let mut state = state(record, ContainerState::Stopped);
    state.set_pid(None);
    let run = |hook: &Hook| run_all(Some(std::slice::from_ref(hook)), "poststop", &state).err();
    hooks.into_iter().flatten().filter_map(run).collect()
}
