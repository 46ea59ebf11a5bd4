//! Frames on the wire (SPDY/3, section 2.2).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};

use super::header_block::{Decoder, Encoder, Headers};
use crate::{Error, pipe::CHUNK};

const VERSION: u16 = 3;
/// A control frame; data frames are passed on piece by piece and need no limit.
const MAX_CONTROL: usize = 64 * 1024;
const FIN: u8 = 1;
const ID: u32 = 0x7fff_ffff;
const INITIAL_WINDOW: u32 = 7;

mod kind {
    pub const SYN_STREAM: u16 = 1;
    pub const SYN_REPLY: u16 = 2;
    pub const RST_STREAM: u16 = 3;
    pub const SETTINGS: u16 = 4;
    pub const PING: u16 = 6;
    pub const GOAWAY: u16 = 7;
    pub const HEADERS: u16 = 8;
    pub const WINDOW_UPDATE: u16 = 9;
}

#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Open {
        id: u32,
        headers: Headers,
        is_last: bool,
    },
    Reply {
        id: u32,
        is_last: bool,
    },
    Data {
        id: u32,
        bytes: Bytes,
        is_last: bool,
    },
    Reset {
        id: u32,
    },
    /// The initial window, when the frame has it.
    Settings {
        window: Option<u32>,
    },
    Ping {
        id: u32,
    },
    Credit {
        id: u32,
        bytes: u32,
    },
    /// Nothing to act on: GOAWAY, HEADERS, kinds unknown.
    Other,
}

/// Frames as they come in.
pub struct FrameReader<R> {
    io: BufReader<R>,
    headers: Decoder,
    /// The data frame under way: stream, bytes to come, whether it is the stream's last.
    data: Option<(u32, usize, bool)>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(io: R) -> Self {
        Self {
            io: BufReader::with_capacity(CHUNK, io),
            headers: Decoder::new(),
            data: None,
        }
    }

    /// The next frame; none when the peer closed between two.
    pub async fn next(&mut self) -> Result<Option<Frame>, Error> {
        if let Some((id, remaining, is_last)) = self.data.take() {
            return self.piece(id, remaining, is_last).await.map(Some);
        }
        let mut head = [0; 8];
        if self.io.read(&mut head[..1]).await? == 0 {
            return Ok(None);
        }
        self.io.read_exact(&mut head[1..]).await?;
        let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let flags = head[4];
        let length = usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
        if first & !ID == 0 {
            return self.piece(first, length, flags & FIN != 0).await.map(Some);
        }
        if length > MAX_CONTROL {
            return Err(Error::Protocol("a control frame of more than 64 KiB"));
        }
        if (first >> 16) & 0x7fff != u32::from(VERSION) {
            return Err(Error::Protocol("a frame that is not of SPDY version 3"));
        }
        let mut body = vec![0; length];
        self.io.read_exact(&mut body).await?;
        let kind = u16::try_from(first & 0xffff).expect("16 bits");
        self.control(kind, flags & FIN != 0, &body).map(Some)
    }

    async fn piece(&mut self, id: u32, remaining: usize, is_last: bool) -> Result<Frame, Error> {
        let now = remaining.min(CHUNK);
        let mut bytes = BytesMut::with_capacity(now);
        while bytes.len() < now {
            let missing = now - bytes.len();
            let mut room = (&mut bytes).limit(missing);
            if self.io.read_buf(&mut room).await? == 0 {
                return Err(Error::Gone);
            }
        }
        let rest = remaining - now;
        if rest > 0 {
            self.data = Some((id, rest, is_last));
        }
        Ok(Frame::Data {
            id,
            bytes: bytes.freeze(),
            is_last: is_last && rest == 0,
        })
    }

    fn control(&mut self, kind: u16, is_last: bool, mut body: &[u8]) -> Result<Frame, Error> {
        const SHORT: Error = Error::Protocol("a control frame that is too short");
        let mut number = || body.try_get_u32().map_err(|_| SHORT);
        match kind {
            kind::SYN_STREAM => {
                let id = number()? & ID;
                let block = body.get(6..).ok_or(SHORT)?;
                Ok(Frame::Open {
                    id,
                    headers: self.headers.decode(block)?,
                    is_last,
                })
            }
            kind::SYN_REPLY | kind::HEADERS => {
                let id = number()? & ID;
                // Read only to keep the decompressor in step.
                self.headers.decode(body)?;
                Ok(Frame::Reply { id, is_last })
            }
            kind::RST_STREAM => Ok(Frame::Reset { id: number()? & ID }),
            kind::PING => Ok(Frame::Ping { id: number()? }),
            kind::WINDOW_UPDATE => Ok(Frame::Credit {
                id: number()? & ID,
                bytes: number()? & ID,
            }),
            kind::SETTINGS => {
                let count = number()?;
                let entries = body
                    .chunks_exact(8)
                    .take(usize::try_from(count).unwrap_or(usize::MAX));
                let mut entries =
                    entries.map(|mut entry| (entry.get_u32() & 0x00ff_ffff, entry.get_u32()));
                let window = entries
                    .find(|(id, _)| *id == INITIAL_WINDOW)
                    .map(|(_, value)| value);
                Ok(Frame::Settings { window })
            }
            _ => Ok(Frame::Other),
        }
    }
}

fn control(out: &mut BytesMut, kind: u16, flags: u8, body: &[&[u8]]) {
    let length = body.iter().map(|part| part.len()).sum::<usize>();
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    out.put_u32(u32::from(flags) << 24 | u32::try_from(length).expect("control frames are short"));
    body.iter().for_each(|part| out.extend_from_slice(part));
}

pub fn open(out: &mut BytesMut, encoder: &mut Encoder, id: u32, headers: &Headers) {
    let block = encoder.encode(headers);
    control(
        out,
        kind::SYN_STREAM,
        0,
        &[&id.to_be_bytes(), &[0; 6], &block],
    );
}

pub fn reply(out: &mut BytesMut, encoder: &mut Encoder, id: u32) {
    let block = encoder.encode(&Headers::new());
    control(out, kind::SYN_REPLY, 0, &[&id.to_be_bytes(), &block]);
}

/// Status 5, CANCEL.
pub fn reset(out: &mut BytesMut, id: u32) {
    control(
        out,
        kind::RST_STREAM,
        0,
        &[&id.to_be_bytes(), &5_u32.to_be_bytes()],
    );
}

pub fn ping(out: &mut BytesMut, id: u32) {
    control(out, kind::PING, 0, &[&id.to_be_bytes()]);
}

pub fn credit(out: &mut BytesMut, id: u32, bytes: u32) {
    control(
        out,
        kind::WINDOW_UPDATE,
        0,
        &[&id.to_be_bytes(), &bytes.to_be_bytes()],
    );
}

pub fn go_away(out: &mut BytesMut) {
    control(out, kind::GOAWAY, 0, &[&[0; 8]]);
}

/// The eight bytes before a data frame's content.
pub fn data_head(out: &mut BytesMut, id: u32, length: usize, is_last: bool) {
    let flags = if is_last { u32::from(FIN) << 24 } else { 0 };
    out.put_u32(id);
    out.put_u32(flags | u32::try_from(length).expect("chunks are short"));
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> Result<Vec<Frame>, Error> {
        let mut reader = FrameReader::new(bytes);
        let mut frames = Vec::new();
        while let Some(frame) = reader.next().await? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[tokio::test]
    async fn frames_go_round() {
        let (mut out, mut encoder) = (BytesMut::new(), Encoder::new());
        let headers = vec![("streamtype".to_owned(), "error".to_owned())];
        open(&mut out, &mut encoder, 1, &headers);
        reply(&mut out, &mut encoder, 1);
        credit(&mut out, 1, 7);
        ping(&mut out, 9);
        reset(&mut out, 1);
        go_away(&mut out);
        data_head(&mut out, 1, 2, true);
        out.extend_from_slice(b"hi");
        let expected = [
            Frame::Open {
                id: 1,
                headers,
                is_last: false,
            },
            Frame::Reply {
                id: 1,
                is_last: false,
            },
            Frame::Credit { id: 1, bytes: 7 },
            Frame::Ping { id: 9 },
            Frame::Reset { id: 1 },
            Frame::Other,
            Frame::Data {
                id: 1,
                bytes: Bytes::from_static(b"hi"),
                is_last: true,
            },
        ];
        assert_eq!(read_all(&out).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn large_data_frame_comes_in_pieces() {
        let mut out = BytesMut::new();
        data_head(&mut out, 3, 3 * CHUNK + 1, true);
        out.resize(8 + 3 * CHUNK + 1, 7);
        let frames = read_all(&out).await.unwrap();
        let last: Vec<bool> = frames
            .iter()
            .map(|f| matches!(f, Frame::Data { is_last: true, .. }))
            .collect();
        assert_eq!(last, [false, false, false, true]);
    }

    #[tokio::test]
    async fn broken_frames_are_errors_and_no_panics() {
        assert!(
            read_all(&[0x80, 2, 0, 1, 0, 0, 0, 0]).await.is_err(),
            "version 2"
        );
        assert!(
            read_all(&[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff])
                .await
                .is_err(),
            "over the limit"
        );
        assert!(
            read_all(&[0x80, 3, 0, 1, 0, 0, 0, 2, 0, 0]).await.is_err(),
            "too short"
        );
        assert!(
            read_all(&[0, 0, 0, 1, 0, 0, 0, 9, 1]).await.is_err(),
            "cut off"
        );
        assert!(read_all(&[0x80, 3]).await.is_err(), "half a head");
    }
}
