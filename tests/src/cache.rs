//! Files and folders made once a machine and kept under `/var/cache/skiff-e2e`.
//!
//! Making one is guarded by a lock, so that tests that run at once make it once.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

const CACHE: &str = "/var/cache/skiff-e2e";

/// The file or folder of that name; `make` makes it where there is none.
pub fn cached(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    std::fs::create_dir_all(CACHE).expect("create the cache");
    let path = Path::new(CACHE).join(name);
    let lock = File::create(path.with_extension("lock")).expect("create a lock file");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, e)| e)
        .expect("lock the cache");
    if !path.exists() {
        let making = path.with_extension("making");
        let _ = std::fs::remove_file(&making);
        let _ = std::fs::remove_dir_all(&making);
        make(&making);
        std::fs::rename(&making, &path).expect("keep what was made");
    }
    path
}
