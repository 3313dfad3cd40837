//! Bytes that were read and not used yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// A buffer that grows up to a limit.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    most: usize,
}

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filled {
    Bytes,
    /// Nothing comes any more.
    End,
    /// There is no room; nothing was read.
    Full,
}

impl Buffer {
    /// Begins with room for `size` bytes.
    pub(super) fn new(size: usize, most: usize) -> Self {
        Self {
            bytes: vec![0; size],
            start: 0,
            end: 0,
            most,
        }
    }

    pub(super) fn unused(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn use_up(&mut self, length: usize) {
        self.start += length;
        assert!(self.start <= self.end, "only what was read can be used");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Reads once, after what is there.
    pub(super) fn poll_fill(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Filled>> {
        if self.end == self.bytes.len() && !self.has_made_room() {
            return Poll::Ready(Ok(Filled::Full));
        }
        let mut room = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(stream.poll_read(context, &mut room))?;
        let read = room.filled().len();
        self.end += read;
        Poll::Ready(Ok(if read == 0 {
            Filled::End
        } else {
            Filled::Bytes
        }))
    }

    fn has_made_room(&mut self) -> bool {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else if self.bytes.len() < self.most {
            let size = (self.bytes.len() * 2).min(self.most);
            self.bytes.resize(size, 0);
        } else {
            return false;
        }
        true
    }

    /// Gives back room beyond `size` bytes, if nothing is in it.
    pub(super) fn shrink(&mut self, size: usize) {
        if self.bytes.len() > size && self.end == 0 {
            self.bytes = vec![0; size];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fill(buffer: &mut Buffer, mut from: &[u8]) -> Filled {
        std::future::poll_fn(|context| buffer.poll_fill(Pin::new(&mut from), context))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn it_grows_up_to_its_limit_and_no_further() {
        let mut buffer = Buffer::new(2, 4);
        assert_eq!(fill(&mut buffer, b"abcdef").await, Filled::Bytes);
        assert_eq!(buffer.unused(), b"ab");
        assert_eq!(fill(&mut buffer, b"cdef").await, Filled::Bytes);
        assert_eq!(buffer.unused(), b"abcd");
        assert_eq!(fill(&mut buffer, b"ef").await, Filled::Full);
        buffer.use_up(3);
        assert_eq!(fill(&mut buffer, b"efghi").await, Filled::Bytes);
        assert_eq!(buffer.unused(), b"defg");
        buffer.use_up(4);
        buffer.shrink(2);
        assert_eq!(fill(&mut buffer, b"xyz").await, Filled::Bytes);
        assert_eq!(buffer.unused(), b"xy");
        assert_eq!(fill(&mut buffer, b"").await, Filled::End);
    }
}
