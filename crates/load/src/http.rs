//! Reads HTTP/1.1 answers as their bytes arrive, without keeping what nobody asks for.

/// A head has at most this many bytes; servers send a fraction of it.
const HEAD_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
/// Size lines of chunks, with extensions.
const CHUNK_LINE_MAX: usize = 1024;

/// Why an answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseError {
    #[error("the answer is not HTTP/1.1: {0}")]
    Head(String),
    #[error("the answer's head is longer than {HEAD_MAX} bytes")]
    HeadTooLong,
    #[error("the answer has contradicting lengths")]
    Length,
    #[error("the answer has a chunk that cannot be read")]
    Chunk,
    #[error("the answer has more bytes than it announced")]
    Surplus,
    #[error("the answer's body is longer than {0} bytes")]
    TooLarge(u64),
    #[error(
        "the connection closed before the answer was whole ({received} bytes of its body came)"
    )]
    Closed { received: u64 },
    #[error("the connection closed before an answer came")]
    Nothing,
}

/// What of an answer is kept.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four things that are kept or not, each by itself"
)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keep {
    pub(crate) headers: bool,
    pub(crate) cookies: bool,
    pub(crate) body: bool,
    /// Asked with HEAD: announces a body and sends none.
    pub(crate) no_body: bool,
    pub(crate) body_max: u64,
    /// Ends after this many server-sent events.
    pub(crate) events: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Head,
    Length(u64),
    ChunkSize,
    Chunk(u64),
    /// The line break behind a chunk.
    ChunkEnd,
    Trailer,
    UntilClose,
    Done,
}

/// One answer, as far as it came.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    state: State,
    keep: Keep,
    pub(crate) status: u16,
    pub(crate) keep_alive: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) body_bytes: u64,
    /// Bytes that came, head and all.
    pub(crate) bytes: u64,
    /// An unfinished head or line.
    partial: Vec<u8>,
    pub(crate) events: Events,
}

/// Server-sent events, counted as they end.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) count: u32,
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// Data of the event that came last.
    pub(crate) last: Vec<u8>,
}

impl Answer {
    /// Makes ready for the next answer; memory is kept.
    pub(crate) fn restart(&mut self, keep: Keep) {
        self.state = State::Head;
        self.keep = keep;
        self.status = 0;
        self.keep_alive = true;
        self.headers.clear();
        self.body.clear();
        self.body_bytes = 0;
        self.bytes = 0;
        self.partial.clear();
        self.events = Events::default();
    }

    /// Gives back memory that one large answer took.
    pub(crate) fn shrink(&mut self) {
        const USUAL: usize = 4096;
        for buffer in [&mut self.body, &mut self.partial] {
            if buffer.capacity() > USUAL {
                *buffer = Vec::new();
            }
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.bytes > 0
    }

    /// Takes bytes that came. Returns whether the answer is whole.
    pub(crate) fn feed(&mut self, mut input: &[u8]) -> Result<bool, ParseError> {
        self.bytes += input.len() as u64;
        while !input.is_empty() {
            input = match self.state {
                State::Head => self.head(input)?,
                State::Length(left) => {
                    let take = cut(input, left);
                    self.take(take)?;
                    let left = left - take.len() as u64;
                    self.state = if left == 0 {
                        State::Done
                    } else {
                        State::Length(left)
                    };
                    self.end_of_events();
                    &input[take.len()..]
                }
                State::Chunk(left) => {
                    let take = cut(input, left);
                    self.take(take)?;
                    let left = left - take.len() as u64;
                    self.state = if left == 0 {
                        State::ChunkEnd
                    } else {
                        State::Chunk(left)
                    };
                    self.end_of_events();
                    &input[take.len()..]
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.chunk_line(input)?,
                State::UntilClose => {
                    self.take(input)?;
                    self.end_of_events();
                    &[]
                }
                // An endless stream of events goes on behind what was asked for.
                State::Done if self.keep.events > 0 => {
                    self.keep_alive = false;
                    &[]
                }
                State::Done => return Err(ParseError::Surplus),
            };
        }
        Ok(self.is_done())
    }

    /// The connection ended. Returns whether the answer is whole.
    pub(crate) fn end(&mut self) -> Result<(), ParseError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose if self.keep.events == 0 => {
                self.state = State::Done;
                Ok(())
            }
            State::Head if self.bytes == 0 => Err(ParseError::Nothing),
            _ => Err(ParseError::Closed {
                received: self.body_bytes,
            }),
        }
    }

    fn end_of_events(&mut self) {
        if self.keep.events > 0 && self.events.count >= self.keep.events {
            // What follows is not read, so the connection cannot be used again.
            self.keep_alive = false;
            self.state = State::Done;
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ParseError> {
        self.body_bytes += bytes.len() as u64;
        if self.body_bytes > self.keep.body_max {
            return Err(ParseError::TooLarge(self.keep.body_max));
        }
        if self.keep.events > 0 {
            self.events.feed(bytes, self.keep.events);
        } else if self.keep.body {
            self.body.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn head<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], ParseError> {
        if self.partial.is_empty() {
            let Some(length) = self.read_head(input)? else {
                self.partial.extend_from_slice(input);
                return Ok(&[]);
            };
            return Ok(&input[length..]);
        }
        let before = self.partial.len();
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(input);
        if let Some(length) = self.read_head(&partial)? {
            return Ok(&input[length - before..]);
        }
        self.partial = partial;
        Ok(&[])
    }

    /// Reads a head; `None` if it is not whole yet.
    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, ParseError> {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Response::new(&mut fields);
        let parsed = head
            .parse(bytes)
            .map_err(|error| ParseError::Head(error.to_string()))?;
        let httparse::Status::Complete(length) = parsed else {
            if bytes.len() > HEAD_MAX {
                return Err(ParseError::HeadTooLong);
            }
            return Ok(None);
        };
        let status = head.code.unwrap_or(0);
        if (100..200).contains(&status) && status != 101 {
            // Interim: the answer itself follows.
            return Ok(Some(length));
        }
        self.status = status;
        self.keep_alive = head.version == Some(1);
        let mut announced = None;
        let mut chunked = false;
        for field in head.headers.iter() {
            self.field(field, &mut announced, &mut chunked)?;
        }
        let bodiless = self.keep.no_body || matches!(status, 101 | 204 | 304);
        self.state = match (bodiless, chunked, announced) {
            (true, _, _) | (false, false, Some(0)) => State::Done,
            (false, true, _) => State::ChunkSize,
            (false, false, Some(length))
                if self.keep.events == 0 && length > self.keep.body_max =>
            {
                return Err(ParseError::TooLarge(self.keep.body_max));
            }
            (false, false, Some(length)) => State::Length(length),
            (false, false, None) => {
                self.keep_alive = false;
                State::UntilClose
            }
        };
        Ok(Some(length))
    }

    fn field(
        &mut self,
        field: &httparse::Header<'_>,
        announced: &mut Option<u64>,
        chunked: &mut bool,
    ) -> Result<(), ParseError> {
        let text = || String::from_utf8_lossy(field.value).into_owned();
        match field.name.len() {
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let length: u64 = std::str::from_utf8(field.value)
                    .ok()
                    .and_then(|value| value.trim().parse().ok())
                    .ok_or(ParseError::Length)?;
                if announced.is_some_and(|known| known != length) {
                    return Err(ParseError::Length);
                }
                *announced = Some(length);
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                *chunked = text().to_ascii_lowercase().ends_with("chunked");
                if !*chunked {
                    return Err(ParseError::Head("an unknown transfer encoding".to_owned()));
                }
            }
            10 if field.name.eq_ignore_ascii_case("connection") => {
                let value = text().to_ascii_lowercase();
                if value.contains("close") {
                    self.keep_alive = false;
                } else if value.contains("keep-alive") {
                    self.keep_alive = true;
                }
            }
            _ => {}
        }
        let is_cookie = self.keep.cookies
            && field.name.len() == 10
            && field.name.eq_ignore_ascii_case("set-cookie");
        if self.keep.headers || is_cookie {
            self.headers.push((field.name.to_owned(), text()));
        }
        Ok(())
    }

    fn chunk_line<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], ParseError> {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            self.partial.extend_from_slice(input);
            if self.partial.len() > CHUNK_LINE_MAX {
                return Err(ParseError::Chunk);
            }
            return Ok(&[]);
        };
        self.partial.extend_from_slice(&input[..end]);
        let line = std::mem::take(&mut self.partial);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        self.state = match self.state {
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err(ParseError::Chunk),
            State::Trailer if line.is_empty() => State::Done,
            State::Trailer => State::Trailer,
            _ => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
                    .ok_or(ParseError::Chunk)?;
                if size == 0 {
                    State::Trailer
                } else {
                    State::Chunk(size)
                }
            }
        };
        Ok(&input[end + 1..])
    }
}

fn cut(input: &[u8], left: u64) -> &[u8] {
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    &input[..length]
}

/// Data of one event that is kept for assertions.
const EVENT_MAX: usize = 1024 * 1024;

impl Events {
    /// Reads until there are `enough`; what follows them is nobody's concern.
    fn feed(&mut self, bytes: &[u8], enough: u32) {
        for byte in bytes {
            if self.count >= enough {
                return;
            }
            match byte {
                b'\n' => self.line(),
                b'\r' => {}
                byte if self.line.len() < EVENT_MAX => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            if self.has_data {
                self.count += 1;
                self.last = std::mem::take(&mut self.data);
                self.has_data = false;
            }
            return;
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            if self.has_data {
                self.data.push(b'\n');
            }
            self.has_data = true;
            if self.data.len() + data.len() <= EVENT_MAX {
                self.data.extend_from_slice(data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep {
        headers: true,
        cookies: true,
        body: true,
        no_body: false,
        body_max: 1000,
        events: 0,
    };

    /// Feeds an answer in pieces of every size; all must end alike.
    fn read(text: &str, keep: Keep) -> Result<(u16, String, bool), ParseError> {
        let mut results = Vec::new();
        for size in [1, 2, 3, 7, text.len().max(1)] {
            let mut answer = Answer::default();
            answer.restart(keep);
            let fed = text
                .as_bytes()
                .chunks(size)
                .try_for_each(|piece| answer.feed(piece).map(|_| ()));
            let result = fed.and_then(|()| answer.end()).map(|()| {
                let body = if keep.events > 0 {
                    &answer.events.last
                } else {
                    &answer.body
                };
                (
                    answer.status,
                    String::from_utf8_lossy(body).into_owned(),
                    answer.keep_alive,
                )
            });
            results.push(result);
        }
        for other in &results[1..] {
            assert_eq!(*other, results[0], "{text:?}");
        }
        results.remove(0)
    }

    fn ok(text: &str) -> (u16, String, bool) {
        read(text, KEEP).unwrap()
    }

    #[test]
    fn bodies_of_every_kind_are_read_in_pieces_of_every_size() {
        let whole = |status, body: &str, keep| (status, body.to_owned(), keep);
        assert_eq!(
            ok("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
            whole(200, "hi", true)
        );
        assert_eq!(ok("HTTP/1.1 204 No\r\n\r\n"), whole(204, "", true));
        assert_eq!(
            ok("HTTP/1.1 200 OK\r\n\r\nuntil close"),
            whole(200, "until close", false)
        );
        assert_eq!(
            ok("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"),
            whole(200, "x", false)
        );
        assert_eq!(
            ok("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
            whole(200, "", false)
        );
        assert_eq!(
            ok(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\n"
            ),
            whole(200, "abcd", true)
        );
        assert_eq!(
            ok("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 C\r\nContent-Length: 0\r\n\r\n"),
            whole(201, "", true)
        );
        let head = Keep {
            no_body: true,
            ..KEEP
        };
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head).unwrap(),
            whole(200, "", true)
        );
    }

    #[test]
    fn answers_that_are_none_are_told_apart() {
        let error = |text: &str| read(text, KEEP).unwrap_err();
        assert!(matches!(error("SSH-2.0-x\r\n\r\n"), ParseError::Head(_)));
        assert_eq!(error(""), ParseError::Nothing);
        assert_eq!(error("HTTP/1.1 2"), ParseError::Closed { received: 0 });
        assert_eq!(
            error("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"),
            ParseError::Closed { received: 2 }
        );
        assert_eq!(
            error("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhi"),
            ParseError::Surplus
        );
        assert_eq!(
            error("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            ParseError::Length
        );
        assert_eq!(
            error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            ParseError::Chunk
        );
        assert_eq!(
            error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab"),
            ParseError::Closed { received: 1 }
        );
        assert_eq!(
            error("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"),
            ParseError::TooLarge(1000)
        );
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1001));
        assert_eq!(error(&endless), ParseError::TooLarge(1000));
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_MAX));
        assert_eq!(error(&long), ParseError::HeadTooLong);
    }

    #[test]
    fn events_are_counted_as_they_end() {
        let keep = Keep { events: 2, ..KEEP };
        let text =
            "HTTP/1.1 200 OK\r\n\r\n: hello\n\ndata: one\n\nid: 1\ndata: {\"a\":\ndata: 2}\n\n";
        let (status, last, keep_alive) = read(text, keep).unwrap();
        assert_eq!(
            (status, last.as_str(), keep_alive),
            (200, "{\"a\":\n2}", false)
        );
        let more = format!("{text}data: three\n\n");
        assert_eq!(read(&more, keep).unwrap().1, "{\"a\":\n2}");
        assert_eq!(
            read("HTTP/1.1 200 OK\r\n\r\ndata: one\n\n", keep).unwrap_err(),
            ParseError::Closed { received: 11 }
        );
    }
}
