//! One open watch: what it sends, and when it ends.
//!
//! What is ready goes out together, so that a busy watch costs one write of the
//! connection for many events, and events are built in the piece that is sent.
//! Polled by hand: nothing is set up anew for each piece. When all watches
//! together write too often, a piece waits for its turn and grows meanwhile
//! ([`Pace`]).

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apimachinery::Status;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use store::{Change, Entry, Revision, Signal, Watch};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::event::Shaper;
use super::pace::Pace;
use super::too_old;
use crate::api::Api;
use crate::body::BoxError;

/// How often a watcher that allows it is told how far it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Events that are ready go out together up to this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// What a watch sends before the changes.
pub struct Initial {
    pub entries: std::vec::IntoIter<Entry>,
    /// A bookmark says where they end.
    pub is_marked: bool,
}

/// A change on its way into the version that the watcher asked for.
type Converting = Pin<Box<dyn Future<Output = Result<Arc<Change>, Status>> + Send>>;

pub struct Feed {
    watch: Watch,
    shaper: Shaper,
    /// For custom kinds, whose changes may have to be converted.
    converter: Option<Arc<Api>>,
    converting: Option<Converting>,
    initial: Option<Initial>,
    deadline: Instant,
    bookmark: Option<Instant>,
    /// Until the turn, the bookmark or the deadline.
    timer: Pin<Box<Sleep>>,
    pace: Arc<Pace>,
    /// When `held` may go out.
    turn: Option<Instant>,
    held: Bytes,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The newest revision the client knows of.
    at: Revision,
    is_over: bool,
}

impl Feed {
    /// Of the changes after `at`, for `lasts`; `initial` is what there is at `at`.
    pub fn new(
        watch: Watch,
        shaper: Shaper,
        initial: Option<Initial>,
        at: Revision,
        lasts: Duration,
        api: &Api,
    ) -> Self {
        let deadline = Instant::now() + lasts;
        let stop = shaper.kind().over().unwrap_or(&api.stop).clone();
        Self {
            watch,
            shaper,
            converter: None,
            converting: None,
            initial,
            deadline,
            bookmark: None,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
            pace: api.watch_pace.clone(),
            turn: None,
            held: Bytes::new(),
            stop: Box::pin(stop.cancelled_owned()),
            at,
            is_over: false,
        }
    }

    /// Tells from time to time how far the watch is.
    pub fn with_bookmarks(mut self) -> Self {
        self.bookmark = Some(Instant::now() + BOOKMARK_EVERY);
        self.set_timer();
        self
    }

    /// Changes are converted on their way.
    pub fn with_converter(mut self, api: Arc<Api>) -> Self {
        self.converter = Some(api);
        self
    }

    fn set_timer(&mut self) {
        let times = [self.turn, self.bookmark].into_iter().flatten();
        let next = times.fold(self.deadline, Instant::min);
        self.timer.as_mut().reset(next);
    }

    /// A piece of what was there when the watch began.
    fn take_initial(&mut self, out: &mut BytesMut) {
        let Some(initial) = &mut self.initial else {
            return;
        };
        while out.len() < BATCH_BYTES {
            match initial.entries.next() {
                Some(entry) => self.shaper.initial(&entry, out),
                None => {
                    if initial.is_marked {
                        self.shaper.bookmark(self.at, true, out);
                    }
                    self.initial = None;
                    return;
                }
            }
        }
    }

    /// What came in together goes out together.
    fn take_ready(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) {
        while out.len() < BATCH_BYTES && !self.is_over {
            if self.convert(cx, out).is_pending() {
                return;
            }
            let polled = std::pin::pin!(self.watch.next()).poll(cx);
            match polled {
                Poll::Ready(Some(signal)) => self.take(signal, out),
                Poll::Ready(None) => self.is_over = true,
                Poll::Pending => return,
            }
        }
    }

    /// What came in before the end is still told: the deletes of a kind that goes.
    fn take_last(&mut self, cx: &mut Context<'_>) {
        if self.initial.is_none() {
            let mut out = BytesMut::from(std::mem::take(&mut self.held));
            self.take_ready(cx, &mut out);
            self.held = out.freeze();
        }
    }

    /// Ends the conversion that is under way, if it can.
    fn convert(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Poll<()> {
        let Some(converting) = &mut self.converting else {
            return Poll::Ready(());
        };
        let converted = std::task::ready!(converting.as_mut().poll(cx));
        self.converting = None;
        match converted {
            Ok(change) => self.tell(&change, out),
            Err(status) => {
                self.is_over = true;
                self.shaper.error(&status, out);
            }
        }
        Poll::Ready(())
    }

    fn tell(&mut self, change: &Change, out: &mut BytesMut) {
        self.at = change.revision();
        self.shaper.change(change, out);
    }

    fn take(&mut self, signal: Result<Signal, store::Error>, out: &mut BytesMut) {
        match signal {
            Ok(Signal::Change(change)) => match &self.converter {
                Some(api) if !self.shaper.kind().shows(&change) => {
                    let (api, kind) = (api.clone(), self.shaper.kind().clone());
                    self.converting = Some(Box::pin(async move {
                        api.change_as_served(&kind, &change).await
                    }));
                }
                _ => self.tell(&change, out),
            },
            Ok(Signal::Progress(revision)) => {
                self.at = revision;
                self.shaper.bookmark(revision, false, out);
            }
            Err(error) => {
                self.is_over = true;
                self.shaper.error(&too_old(error), out);
            }
        }
    }

    /// The time of a bookmark, or of the end: a watch that is over in time ends
    /// with where it got to. Answers whether progress was asked for.
    fn on_time(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> bool {
        let mut has_asked = false;
        while self.timer.as_mut().poll(cx).is_ready() && !self.is_over {
            let now = Instant::now();
            if now >= self.deadline {
                self.is_over = true;
                if self.bookmark.is_some() {
                    self.shaper.bookmark(self.at, false, out);
                }
                break;
            }
            if self.bookmark.is_some_and(|due| now >= due) {
                self.watch.request_progress();
                has_asked = true;
                self.bookmark = Some(now + BOOKMARK_EVERY);
            }
            self.set_timer();
        }
        has_asked
    }
}

thread_local! {
    /// Where pieces are put together, to be copied once when their size is known:
    /// a piece that grows by itself is allocated and copied many times.
    static PIECE: RefCell<BytesMut> = RefCell::default();
}

impl Feed {
    /// Whether `out` has to wait for its turn.
    fn must_wait(&mut self, out: &BytesMut, cx: &mut Context<'_>) -> bool {
        self.turn = self.pace.turn();
        if self.turn.is_none() {
            return false;
        }
        self.set_timer();
        let waits = self.waits(cx);
        if waits {
            self.held = Bytes::copy_from_slice(out);
        }
        waits
    }

    /// Whether the turn of what is held is still to come.
    fn waits(&mut self, cx: &mut Context<'_>) -> bool {
        let is_early = self.turn.is_some_and(|turn| Instant::now() < turn);
        // A bookmark or the end can wait that long.
        is_early && self.timer.as_mut().poll(cx).is_pending()
    }

    /// Puts the next piece into `out`; pending while it waits for its turn.
    fn poll_piece(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Poll<()> {
        let has_turn = self.turn.take().is_some();
        if has_turn {
            self.set_timer();
        }
        out.extend_from_slice(&std::mem::take(&mut self.held));
        if self.is_over {
            return Poll::Ready(());
        }
        self.take_initial(out);
        if self.initial.is_some() {
            return Poll::Ready(());
        }
        self.take_ready(cx, out);
        if self.on_time(cx, out) {
            self.take_ready(cx, out);
        }
        let may_wait = !has_turn && !out.is_empty() && !self.is_over;
        if may_wait && self.must_wait(out, cx) {
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Stream for Feed {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let feed = &mut *self;
        if !feed.is_over && feed.stop.as_mut().poll(cx).is_ready() {
            feed.take_last(cx);
            feed.is_over = true;
        }
        if !feed.is_over && feed.waits(cx) {
            return Poll::Pending;
        }
        let piece = PIECE.with_borrow_mut(|out| {
            out.clear();
            feed.poll_piece(cx, out)
                .map(|()| Bytes::copy_from_slice(out))
        });
        match piece {
            Poll::Ready(piece) if !piece.is_empty() => Poll::Ready(Some(Ok(piece))),
            _ if feed.is_over => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }
}
