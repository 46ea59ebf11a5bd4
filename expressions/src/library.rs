//! The functions expressions may call: the language's own, and Kubernetes'.
//!
//! One file a library. `signatures.txt` is what the checker knows of them; a function is
//! there and registered by its file, or it does not exist.

mod addresses;
mod args;
pub mod authorizer;
pub mod duration;
mod formats;
pub mod kinds;
mod lists;
mod loops;
mod metered;
pub mod names;
mod quantities;
pub mod regexes;
mod semvers;
mod sets;
pub mod signatures;
mod strings;
mod urls;

use std::sync::{Arc, LazyLock};

use cel::{DeclarationError, Env, extensions};

static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(build().expect("no function is registered twice")));

/// All functions and macros there are.
pub fn environment() -> Arc<Env> {
    Arc::clone(&ENVIRONMENT)
}

fn build() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings)?;
    env.add_extension(extensions::lists)?;
    env.add_extension(extensions::math)?;
    env.add_extension(extensions::encoders)?;
    metered::register(&mut env)?;
    loops::register(&mut env)?;
    strings::register(&mut env)?;
    regexes::register(&mut env)?;
    lists::register(&mut env)?;
    sets::register(&mut env)?;
    quantities::register(&mut env)?;
    addresses::register(&mut env)?;
    urls::register(&mut env)?;
    formats::register(&mut env)?;
    semvers::register(&mut env)?;
    authorizer::register(&mut env)?;
    Ok(env)
}
