//! Kills a process that writes to a store, for as long as one likes, and checks
//! that nothing that anyone was told is lost or reordered:
//! `cargo run -p store --example crash_checker -- --rounds 20000 [--dir DIR] [--seed N]`.
//!
//! The store is in a new directory in DIR: put that on the disk that is to be
//! trusted. Ends with a panic that says what is wrong, and leaves the store as
//! it was found.

#[path = "../tests/durability/kill/checker.rs"]
mod checker;
#[path = "../tests/durability/kill/child.rs"]
mod child;

use std::{env, path::Path, process::Command, time::Instant};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    if let Some(dir) = env::var_os(child::DIR) {
        child::run(Path::new(&dir)).await;
        return Ok(());
    }
    let rounds = flag("--rounds")?.map_or(Ok(200), |rounds| rounds.parse())?;
    let seed = flag("--seed")?.map_or(Ok(rand::random_range(0..1 << 40)), |seed| seed.parse())?;
    let parent = flag("--dir")?.map_or_else(env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(parent)?.keep();
    println!("{rounds} rounds in {}, seed {seed}", dir.display());
    let this = env::current_exe()?;
    let start = Instant::now();
    let stats = checker::run(rounds, seed, &dir, || Command::new(&this)).await;
    println!(
        "nothing lost, nothing reordered in {:?}: {stats:?}",
        start.elapsed()
    );
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// The word after `name`.
fn flag(name: &str) -> Result<Option<String>, AnyError> {
    let mut words = env::args().skip_while(|word| word != name);
    let value = words.next().map(|_| words.next());
    match value {
        Some(None) => Err(format!("{name} needs a value").into()),
        value => Ok(value.flatten()),
    }
}
