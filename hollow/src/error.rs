/// Why there are no hollow nodes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused it, or was not there.
    #[error("register node {node}")]
    Register { node: String, source: kube::Error },
}
