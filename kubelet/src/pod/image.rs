//! Getting a container's image, by the rules of its pull policy.

use std::sync::Arc;
use std::time::Duration;

use images::{Image, Reference};
use tokio::time::Instant;

use super::launch::{Launch, Refused};
use crate::clock::after;
use crate::objects::Namespace;
use crate::pod_events::Level;
use crate::{metrics, pull_secrets, traced};

/// A failed pull shows as such for this long before it shows as backing off.
const SHOW_ERROR: Duration = Duration::from_secs(1);

impl Launch {
    /// Finds the image on this node or pulls it, telling by events what happens.
    pub(super) async fn image(&self) -> Result<Arc<Image>, Refused> {
        let name = self.container.image.clone().unwrap_or_default();
        let reference: Reference = name
            .parse()
            .map_err(|e: images::InvalidReference| self.invalid_name(&name, &e))?;
        let policy = self
            .container
            .image_pull_policy
            .as_deref()
            .unwrap_or_default();
        if policy != "Always" {
            let found = self.agent.images.find(&reference).await;
            match found.map_err(|e| self.pull_failed(&name, &e.chain()))? {
                Some(image) => {
                    self.tell(
                        Level::Normal,
                        "Pulled",
                        format!("Container image {name:?} already present on machine"),
                    );
                    return Ok(image);
                }
                None if policy == "Never" => return Err(self.never_pull(&name)),
                None => {}
            }
        }
        self.pull(&name, &reference).await
    }

    async fn pull(&self, name: &str, reference: &Reference) -> Result<Arc<Image>, Refused> {
        if let Some(until) = self.pull_not_before.filter(|until| *until > Instant::now()) {
            let message = format!("Back-off pulling image {name:?}");
            self.tell(Level::Normal, "BackOff", message.clone());
            self.tell(Level::Warning, "Failed", "Error: ImagePullBackOff");
            return Err(Refused {
                reason: "ImagePullBackOff",
                message,
                retry_at: until,
                pull_failed: false,
            });
        }
        self.tell(Level::Normal, "Pulling", format!("Pulling image {name:?}"));
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let lookup = Namespace {
            client: &self.agent.client,
            name: namespace,
        };
        let spec = self.pod.spec.clone().unwrap_or_default();
        let credentials = pull_secrets::find(&spec, reference, &lookup).await;
        let begun = Instant::now();
        let span = traced::stage(&self.pod, "image pull");
        let pull = self.agent.images.pull(reference, credentials.as_ref());
        let pulled = traces::within(span.as_ref(), pull).await;
        if let Some(span) = span {
            span.set("container.image.name", name.to_owned());
            if let Err(error) = &pulled {
                span.fail(error.chain());
            }
        }
        match pulled {
            Ok(image) => {
                let took = Duration::from_millis(begun.elapsed().as_millis() as u64);
                let size = image.size;
                metrics::pulled(size, took);
                self.tell(Level::Normal, "Pulled", format!(
                    "Successfully pulled image {name:?} in {took:?} ({took:?} including waiting). Image size: {size} bytes."
                ));
                Ok(image)
            }
            Err(e) => Err(self.pull_failed(name, &e.chain())),
        }
    }

    fn pull_failed(&self, name: &str, why: &str) -> Refused {
        self.tell(
            Level::Warning,
            "Failed",
            format!("Failed to pull image {name:?}: {why}"),
        );
        self.tell(Level::Warning, "Failed", "Error: ErrImagePull");
        let retry_at = after(Instant::now(), SHOW_ERROR);
        Refused {
            reason: "ErrImagePull",
            message: why.to_owned(),
            retry_at,
            pull_failed: true,
        }
    }

    fn never_pull(&self, name: &str) -> Refused {
        let message = format!("Container image {name:?} is not present with pull policy of Never");
        self.tell(Level::Warning, "ErrImageNeverPull", message.clone());
        self.tell(Level::Warning, "Failed", "Error: ErrImageNeverPull");
        self.refused("ErrImageNeverPull", message)
    }

    fn invalid_name(&self, name: &str, why: &images::InvalidReference) -> Refused {
        let message = format!("Failed to apply default image tag {name:?}: {why}");
        self.tell(Level::Warning, "InspectFailed", message.clone());
        self.tell(Level::Warning, "Failed", "Error: InvalidImageName");
        self.refused("InvalidImageName", message)
    }
}
