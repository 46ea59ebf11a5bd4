//! What follows a start, of a server as of a node.

use crate::notify;

/// The start is over. systemd is told `status`; and of the program's file, most of what is mapped was used by
/// the start alone, so it is given back.
pub fn tell(status: &str) {
    notify::ready(status);
    if let Err(error) = sys::memory::give_back_program() {
        tracing::debug!(%error, "what the start used of the program stays mapped");
    }
}
