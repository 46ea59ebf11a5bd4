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
    /// The pod goes back to the queue.
    #[error("give volume {volume} to claim {claim}")]
    Volume {
        volume: String,
        claim: String,
        source: kube::Error,
    },
    /// The pod goes back to the queue.
    #[error("choose node {node} for claim {claim}")]
    Claim {
        claim: String,
        node: String,
        source: kube::Error,
    },
    /// The victim stays; the pod it was to make room for tries again.
    #[error("preempt pod {pod}")]
    Preempt { pod: String, source: kube::Error },
    /// Only what people see is out of date.
    #[error("write the nominated node of pod {pod}")]
    Nominate { pod: String, source: kube::Error },
}
