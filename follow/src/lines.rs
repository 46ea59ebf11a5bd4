//! The lines of an answer, as they come in.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::time::{Instant, timeout};

/// Longer than any object can be.
pub const LONGEST: usize = 64 << 20;
/// An answer without a line that ends sooner was not worth asking for.
const SHORT: Duration = Duration::from_secs(1);

/// Whole lines only: one that the end of the connection cut off is not told.
pub struct Lines<B = Body> {
    body: B,
    /// Came in together; begins with what follows `begun`.
    piece: Bytes,
    /// A line whose end has not come in yet.
    begun: BytesMut,
    /// A server that says nothing for so long is gone.
    patience: Duration,
    opened: Instant,
    is_read: bool,
}

/// What ended the lines before the server did.
#[derive(Debug)]
pub enum Broken {
    Connection(kube::Error),
    TooLong,
}

impl<B: http_body::Body<Data = Bytes, Error = kube::Error> + Unpin> Lines<B> {
    pub fn new(body: B, patience: Duration) -> Self {
        Self {
            body,
            piece: Bytes::new(),
            begun: BytesMut::new(),
            patience,
            opened: Instant::now(),
            is_read: false,
        }
    }

    /// Of lines that have ended: that there was none, and the server did not
    /// just wait for one. Who asks again at once will ask without end.
    pub fn came_to_nothing(&self) -> bool {
        !self.is_read && (!self.begun.is_empty() || self.opened.elapsed() < SHORT)
    }

    /// The next line; None when there are no more.
    pub async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            if let Some(line) = self.take() {
                self.is_read = true;
                return Some(Ok(line));
            }
            if self.begun.len() > LONGEST {
                return Some(Err(Broken::TooLong));
            }
            let Ok(Some(frame)) = timeout(self.patience, self.body.frame()).await else {
                return None;
            };
            match frame {
                Ok(frame) => self.piece = frame.into_data().unwrap_or_default(),
                Err(error) => return Some(Err(Broken::Connection(error))),
            }
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        let Some(end) = memchr::memchr(b'\n', &self.piece) else {
            self.begun.extend_from_slice(&self.piece);
            self.piece = Bytes::new();
            return None;
        };
        let line = self.piece.split_to(end + 1);
        if self.begun.is_empty() {
            return Some(line);
        }
        self.begun.extend_from_slice(&line);
        Some(self.begun.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body_util::StreamBody;

    async fn lines(pieces: &[&'static str]) -> Vec<String> {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(http_body::Frame::data(Bytes::from_static(piece.as_bytes()))))
            .collect();
        let body = StreamBody::new(stream::iter(frames));
        let mut lines = Lines::new(body, Duration::from_secs(60));
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            all.push(String::from_utf8(line.unwrap().to_vec()).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn lines_are_whole_however_they_come_in() {
        assert_eq!(lines(&["a\nb\n"]).await, ["a\n", "b\n"]);
        assert_eq!(
            lines(&["a", "b\nc", "", "d", "\ne\n"]).await,
            ["ab\n", "cd\n", "e\n"]
        );
    }

    #[tokio::test]
    async fn a_line_that_was_cut_off_is_not_told() {
        assert_eq!(lines(&["a\nb"]).await, ["a\n"]);
        assert!(lines(&[]).await.is_empty());
    }
}
