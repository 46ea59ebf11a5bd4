//! Bytes from one connection to another, both ways, each way with its own end.
//!
//! Small reads go through one buffer a thread: a request and its answer cost
//! two calls each. When a read fills that buffer, more is coming than fits,
//! and the direction goes over to [`super::splice`] until it falls quiet.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::splice;

const BUFFER: usize = 32 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

/// Forwards until both directions have ended, each by its own end of stream;
/// dropping the connections then ends them.
///
/// # Errors
/// As soon as either direction fails; the caller resets what is left.
pub async fn both_ways(client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let is_half_closed = AtomicBool::new(false);
    tokio::try_join!(
        one_way(from_client, to_server, &is_half_closed),
        one_way(from_server, to_client, &is_half_closed)
    )?;
    Ok(())
}

async fn one_way(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    is_half_closed: &AtomicBool,
) -> io::Result<()> {
    let mut writes = 0_u8;
    loop {
        let moved = std::future::poll_fn(|context| move_once(&mut from, &mut to, context)).await?;
        match moved {
            Moved::End => break,
            Moved::Whole => {}
            Moved::Part { unsent } => to.write_all(&unsent).await?,
            Moved::Full { unsent } => {
                to.write_all(&unsent).await?;
                if splice::while_busy(from.as_ref(), to.as_ref())
                    .await?
                    .is_end()
                {
                    break;
                }
            }
        }
        writes = writes.saturating_add(1);
        if writes == 2 {
            // A first write is never held back, and many connections have but
            // one: they are spared the call. It sends what the second left.
            to.as_ref().set_nodelay(true)?;
        }
    }
    if is_half_closed.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    // Fails only where the connection is gone, which the other way will see.
    let _ = SockRef::from(to.as_ref()).shutdown(Shutdown::Write);
    Ok(())
}

/// What one read and one write came to.
enum Moved {
    /// The stream has ended.
    End,
    /// What was read was written.
    Whole,
    /// The receiver took only part for now.
    Part { unsent: Vec<u8> },
    /// The buffer was full: there is more to read at once.
    Full { unsent: Vec<u8> },
}

/// Nothing waits between read and write, so all connections of a thread share
/// one buffer, and an idle one holds no memory for it.
fn move_once(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    context: &mut Context<'_>,
) -> Poll<io::Result<Moved>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(from).poll_read(context, &mut buffer))?;
        let read = buffer.filled();
        if read.is_empty() {
            return Poll::Ready(Ok(Moved::End));
        }
        let written = match Pin::new(to).poll_write(context, read) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        let unsent = read[written..].to_vec();
        Poll::Ready(Ok(match (read.len() == BUFFER, unsent.is_empty()) {
            (true, _) => Moved::Full { unsent },
            (false, true) => Moved::Whole,
            (false, false) => Moved::Part { unsent },
        }))
    })
}
