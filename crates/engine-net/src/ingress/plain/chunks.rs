//! Where a body sent in chunks ends; strict and pure.
//!
//! The bytes are passed on as they are, so whatever a reader could take in
//! two ways is an error: signs, spaces, lone line ends, sizes without an end.

/// Digits of a chunk's size that fit its number.
const DIGITS: usize = 15;
/// Bytes of the extensions of a chunk, and of all trailers.
const ASIDE: usize = 4096;

/// A place in such a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    next: Next,
    /// The size read so far, then the bytes of the chunk that are still to come.
    left: u64,
    /// Digits, or bytes of extensions or trailers, read so far.
    read: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Size,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    /// The beginning of a trailer, or the end.
    Trailer,
    TrailerRest,
    TrailerEnd,
    LastEnd,
    Over,
}

/// It is no body in chunks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Chunks {
    pub(super) const fn new() -> Self {
        Self {
            next: Next::Size,
            left: 0,
            read: 0,
        }
    }

    /// Whether the body has been read in full.
    pub(super) fn is_over(&self) -> bool {
        self.next == Next::Over
    }

    /// Reads on; answers how many of the bytes belong to the body.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut place = 0;
        while place < bytes.len() && !self.is_over() {
            if self.next == Next::Data {
                let there = (bytes.len() - place) as u64;
                let taken = there.min(self.left);
                self.left -= taken;
                place += usize::try_from(taken).map_err(|_| Malformed)?;
                if self.left == 0 {
                    self.next = Next::DataReturn;
                }
            } else {
                self.step(bytes[place])?;
                place += 1;
            }
        }
        Ok(place)
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.next = match (self.next, byte) {
            (Next::Size, b'\r') if self.read > 0 => Next::SizeEnd,
            (Next::Size, b';') if self.read > 0 => {
                self.read = 0;
                Next::Extension
            }
            (Next::Size, digit) if self.read < DIGITS => {
                let value = char::from(digit).to_digit(16).ok_or(Malformed)?;
                self.left = self.left * 16 + u64::from(value);
                self.read += 1;
                Next::Size
            }
            (Next::Extension, b'\r') => Next::SizeEnd,
            (Next::Extension, byte) => self.aside(byte, Next::Extension)?,
            (Next::SizeEnd, b'\n') if self.left == 0 => {
                self.read = 0;
                Next::Trailer
            }
            (Next::SizeEnd, b'\n') => Next::Data,
            (Next::DataReturn, b'\r') => Next::DataEnd,
            (Next::DataEnd, b'\n') => {
                self.read = 0;
                Next::Size
            }
            (Next::Trailer, b'\r') => Next::LastEnd,
            (Next::Trailer, byte) if byte.is_ascii_graphic() => {
                self.aside(byte, Next::TrailerRest)?
            }
            (Next::TrailerRest, b'\r') => Next::TrailerEnd,
            (Next::TrailerRest, byte) => self.aside(byte, Next::TrailerRest)?,
            (Next::TrailerEnd, b'\n') => Next::Trailer,
            (Next::LastEnd, b'\n') => Next::Over,
            _ => return Err(Malformed),
        };
        Ok(())
    }

    /// A byte beside the data: visible, and not one too many.
    fn aside(&mut self, byte: u8, next: Next) -> Result<Next, Malformed> {
        self.read += 1;
        let is_text = byte >= b' ' && byte != 0x7f || byte == b'\t';
        (is_text && self.read <= ASIDE)
            .then_some(next)
            .ok_or(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads it in pieces of every size; all must say the same: where it ends,
    /// if it does, or that it is malformed.
    #[track_caller]
    fn check(text: &str, expected: &Result<Option<usize>, Malformed>) {
        let bytes = text.as_bytes();
        for size in 1..=bytes.len() {
            let (mut chunks, mut length) = (Chunks::new(), 0);
            let mut outcome = Ok(None);
            for piece in bytes.chunks(size) {
                match chunks.read(piece) {
                    Ok(taken) => length += taken,
                    Err(malformed) => {
                        outcome = Err(malformed);
                        break;
                    }
                }
                if chunks.is_over() {
                    outcome = Ok(Some(length));
                    break;
                }
            }
            assert_eq!(&outcome, expected, "{text:?} in pieces of {size}");
        }
    }

    #[test]
    fn a_body_ends_after_its_last_chunk_and_its_trailers() {
        check("5\r\nhello\r\n0\r\n\r\nrest", &Ok(Some(15)));
        check("0\r\n\r\n", &Ok(Some(5)));
        check(
            "A;name=value\r\n0123456789\r\n000\r\na: b\r\nc:\r\n\r\n",
            &Ok(Some(43)),
        );
        check("3\r\na\r\n\r\n0\r\n\r\n", &Ok(Some(13)));
    }

    #[test]
    fn a_body_without_its_end_is_not_over() {
        check("5\r\nhel", &Ok(None));
        check("5\r\nhello\r\n0\r\n", &Ok(None));
        check("5\r\nhello\r\n0\r\na: b\r\n", &Ok(None));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_malformed() {
        for text in [
            "\r\n\r\n",
            ";a\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "-1\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5\nhello\n0\n\n",
            "5\r\rhello",
            "5\r\nhello!\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5;a\u{0}\r\nhello",
            "ffffffffffffffff\r\n",
            "0\r\n a: folded\r\n\r\n",
            "0\r\na: b\n\r\n",
            "0\r\n\rx",
        ] {
            check(text, &Err(Malformed));
        }
        check(&format!("5;{}\r\nhello", "a".repeat(5000)), &Err(Malformed));
        check(
            &format!("0\r\na: {}\r\n\r\n", "a".repeat(5000)),
            &Err(Malformed),
        );
    }
}
