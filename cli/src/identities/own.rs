//! A certificate of this process's own, signed by an authority at hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pki::{Authority, Error, Identity, Issued, Request, WallClock, kept, renewal};

/// One, and how to make the next.
#[derive(Clone)]
pub struct Own {
    pub issued: Issued,
    authority: Arc<Authority>,
    dir: PathBuf,
    name: &'static str,
    request: Request,
}

impl Own {
    pub fn load(
        authority: &Arc<Authority>,
        dir: &Path,
        name: &'static str,
        request: Request,
    ) -> Result<Self, Error> {
        Ok(Self {
            issued: pki::load_or_issue(authority, dir, name, &request)?,
            authority: authority.clone(),
            dir: dir.to_owned(),
            name,
            request,
        })
    }

    /// Renews what `identity` shows for as long as it is polled; each new one is
    /// given to `also` before it is shown.
    pub async fn keep(self, identity: Arc<Identity>, also: impl Fn(&Issued) -> Result<(), Error>) {
        let renew = || {
            let issued = kept::issue(&self.authority, &self.dir, self.name, &self.request);
            let done = issued.and_then(|issued| also(&issued).map(|()| issued));
            std::future::ready(done)
        };
        renewal::keep(self.name, &identity, &WallClock, renew).await;
    }
}
