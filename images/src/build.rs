//! Images made on the spot, with no registry and no archive.

use std::path::PathBuf;

use oci_spec::image::Config;

use crate::Reference;

/// An image still to be taken in by [`crate::Images::add`].
#[derive(Debug, Clone)]
pub struct Built {
    pub(crate) name: Reference,
    pub(crate) binary: PathBuf,
    pub(crate) at: String,
    pub(crate) config: Config,
}

/// An image of one layer that holds one static binary at `at` (`/skiff`), and runs it with `args`.
pub fn from_binary(name: Reference, binary: impl Into<PathBuf>, at: &str, args: &[&str]) -> Built {
    let mut config = Config::default();
    config.set_entrypoint(Some(vec![at.to_owned()]));
    config.set_cmd(Some(args.iter().map(|&arg| arg.to_owned()).collect()));
    Built {
        name,
        binary: binary.into(),
        at: at.to_owned(),
        config,
    }
}
