//! Writes in the name of an office that changes hands.
//!
//! Of several servers one leads. One that was stopped in the middle of its work
//! and goes on after another took over must not finish what it was at, and
//! cannot know that it is too late: only the store can. So whoever takes over
//! writes the office's key, and every write of the one before expects that key
//! as it was. A store that is not shared has no second server, and does not look.

use std::future::Future;

use bytes::Bytes;

use crate::Revision;

/// An office, as whoever holds it wrote its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub key: Bytes,
    pub at: Revision,
}

tokio::task_local! {
    static HELD: Fence;
}

/// Runs `work`; what it writes to a shared store is refused with
/// [`Error::Deposed`](crate::Error::Deposed) once the office's key was written anew.
pub fn within<F: Future>(fence: Fence, work: F) -> impl Future<Output = F::Output> {
    HELD.scope(fence, work)
}

/// That of the work that runs now.
pub fn held() -> Option<Fence> {
    HELD.try_with(Fence::clone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_work_within_is_fenced() {
        let fence = Fence {
            key: Bytes::from_static(b"/leaders/a"),
            at: Revision(7),
        };
        let seen = within(fence.clone(), async {
            tokio::task::yield_now().await;
            held()
        });
        let (seen, beside) = tokio::join!(seen, async { held() });
        assert_eq!((seen, beside), (Some(fence), None));
        assert_eq!(held(), None);
    }
}
