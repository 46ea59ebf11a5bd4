//! Which registries file holds: the one that is named, else the machine's own.

use std::path::{Path, PathBuf};

use images::{Images, Registries};

use crate::instance::Instance;

/// Of the machine's own skiff.
const FILE: &str = "/etc/skiff/registries.yaml";

/// The images of a skiff, pulled as the operator says.
///
/// # Errors
/// The file is wrong, or a file that was named is not there.
pub fn images(instance: &Instance, named: Option<&Path>) -> anyhow::Result<Images> {
    let own = || instance.is_the_machines_own().then(|| PathBuf::from(FILE));
    let file = match named {
        Some(file) => Some(file.to_owned()),
        None => own().filter(|file| file.exists()),
    };
    let registries = file.map(|file| Registries::read(&file)).transpose()?;
    let dir = instance.images_dir();
    Ok(Images::open_with(dir, registries.unwrap_or_default())?)
}
