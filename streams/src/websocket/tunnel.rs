//! A byte stream inside binary messages: how SPDY travels through a WebSocket.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message},
};

use crate::pipe::CHUNK;

pub(crate) struct Tunnel<S> {
    socket: WebSocketStream<S>,
    current: Bytes,
    is_closing: bool,
}

impl<S> Tunnel<S> {
    pub fn new(socket: WebSocketStream<S>) -> Self {
        Self {
            socket,
            current: Bytes::new(),
            is_closing: false,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tunnel<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.current.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.current = bytes,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Poll::Ready(Ok(())),
                Some(Ok(_)) => {}
            }
        }
        let count = buf.remaining().min(self.current.len());
        buf.put_slice(&self.current[..count]);
        self.current.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tunnel<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = buf.len().min(2 * CHUNK);
        loop {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io::Error::other)?;
            let message = Message::binary(Bytes::copy_from_slice(&buf[..count]));
            match Pin::new(&mut self.socket).start_send(message) {
                // Full of pongs, to a peer that does not read: wait until it does.
                Err(Error::WriteBufferFull(_)) => ready!(self.as_mut().poll_flush(cx))?,
                sent => return Poll::Ready(sent.map(|()| count).map_err(io::Error::other)),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket)
            .poll_flush(cx)
            .map_err(io::Error::other)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closing {
            // A close that does not fit into the buffer would be lost.
            ready!(self.as_mut().poll_flush(cx))?;
            let close = Message::Close(Some(super::normal_close()));
            Pin::new(&mut self.socket)
                .start_send(close)
                .map_err(io::Error::other)?;
            self.is_closing = true;
        }
        Pin::new(&mut self.socket)
            .poll_close(cx)
            .map_err(io::Error::other)
    }
}
