//! Taking it all away again, also what a crash left.

use std::fs;
use std::io;
use std::path::Path;

use rtnetlink::packet_route::link::LinkAttribute;

use super::netlink::Netlink;
use super::{lease, link, nft, route, sysctl};
use crate::Result;

/// Removes whatever this crate ever made on this node: the bridge and the
/// pods' links, routes, the nftables table, records; sysctls go back to what
/// they were. Nothing to remove is no error.
pub async fn remove_everything(bridge: &str, state_dir: &Path) -> Result<()> {
    link::check_bridge_name(bridge)?;
    let host = Netlink::open()?;
    remove_links(&host, bridge).await?;
    route::remove_all(&host).await?;
    nft::remove(bridge)?;
    // The record goes last: until then a second try still knows what to undo.
    sysctl::restore(state_dir)?;
    remove_records(state_dir)
}

async fn remove_links(host: &Netlink, bridge: &str) -> Result<()> {
    let Some(found) = host.link(bridge).await? else {
        return Ok(());
    };
    for port in host.ports_of(found.header.index).await? {
        let name = port
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name.as_str()),
                _ => None,
            });
        // A port that an administrator put there is his.
        if let Some(name) = name.filter(|name| link::is_host_end(name)) {
            host.delete_link(name).await?;
        }
    }
    host.delete_link(bridge).await
}

fn remove_records(state_dir: &Path) -> Result<()> {
    for name in [lease::FILE, sysctl::FILE] {
        let file = state_dir.join(name);
        for path in [file.with_extension("new"), file] {
            absent_is_fine(fs::remove_file(&path))
                .map_err(|source| lease::file_error("remove", &path, source))?;
        }
    }
    // The directory may hold what others put there.
    match fs::remove_dir(state_dir) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => {
            absent_is_fine(other).map_err(|source| lease::file_error("remove", state_dir, source))
        }
    }
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
