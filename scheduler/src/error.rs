/// Why the scheduler, or one of its requests, gave up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pod goes back to the queue.
    #[error("bind pod {pod} to node {node}")]
    Bind {
        pod: String,
        node: String,
        source: kube::Error,
    },
    /// The pod stays queued; only its condition is out of date.
    #[error("write the PodScheduled condition of pod {pod}")]
    Condition { pod: String, source: kube::Error },
}
