//! A program's output: cut into lines, passed on, and its end remembered for the
//! sentence that explains a death.

use std::collections::VecDeque;

use gapless_sandbox::{LOG_LINE_BYTES_MAX, LogSink, LogStream};

/// Lines remembered.
const TAIL_LINES_MAX: usize = 10;
/// Bytes remembered of a line.
const TAIL_LINE_BYTES_MAX: usize = 300;

/// Cuts one stream into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    stream: LogStream,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    tail: VecDeque<String>,
}

impl Lines {
    pub(crate) fn new(stream: LogStream) -> Self {
        Lines { stream, partial: Vec::new(), tail: VecDeque::new() }
    }

    /// Takes what was read, and passes on every line that it ends.
    pub(crate) fn push(&mut self, mut bytes: &[u8], sink: &dyn LogSink) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end], sink);
            self.end_line(sink);
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes, sink);
    }

    /// The stream has ended: what is left is a line.
    pub(crate) fn finish(&mut self, sink: &dyn LogSink) {
        if !self.partial.is_empty() {
            self.end_line(sink);
        }
        self.partial = Vec::new();
    }

    /// The last lines, oldest first.
    pub(crate) fn tail(&self) -> impl Iterator<Item = &str> {
        self.tail.iter().map(String::as_str)
    }

    fn extend(&mut self, mut bytes: &[u8], sink: &dyn LogSink) {
        while self.partial.len() + bytes.len() > LOG_LINE_BYTES_MAX {
            let (now, later) = bytes.split_at(LOG_LINE_BYTES_MAX - self.partial.len());
            self.partial.extend_from_slice(now);
            self.end_line(sink);
            bytes = later;
        }
        self.partial.extend_from_slice(bytes);
    }

    fn end_line(&mut self, sink: &dyn LogSink) {
        let line = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
        sink.line(self.stream, line);
        if !line.is_empty() {
            if self.tail.len() == TAIL_LINES_MAX {
                self.tail.pop_front();
            }
            let kept = &line[..line.len().min(TAIL_LINE_BYTES_MAX)];
            self.tail.push_back(String::from_utf8_lossy(kept).into_owned());
        }
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Vec<u8>>>);

    impl LogSink for Kept {
        fn line(&self, _: LogStream, line: &[u8]) {
            self.0.lock().push(line.to_vec());
        }
    }

    fn cut(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (kept, mut lines) = (Kept::default(), Lines::new(LogStream::Stdout));
        for piece in pieces {
            lines.push(piece, &kept);
        }
        lines.finish(&kept);
        kept.0.into_inner()
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let expected: Vec<Vec<u8>> = ["one", "", "two", "rest"].map(Into::into).into();
        let text = b"one\n\ntwo\r\nrest";
        assert_eq!(cut(&[text]), expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(cut(&bytes), expected);
    }

    #[test]
    fn bytes_that_are_not_text_pass_unchanged() {
        assert_eq!(cut(&[b"\xff\xfe\x00x\n"]), [b"\xff\xfe\x00x"]);
    }

    #[test]
    fn a_line_without_end_is_split_and_never_kept_whole() {
        let max = LOG_LINE_BYTES_MAX;
        let long = vec![b'x'; 2 * max + 3];
        let lengths = |lines: Vec<Vec<u8>>| lines.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(cut(&[&long])), [max, max, 3]);
        assert_eq!(lengths(cut(&long.chunks(1000).collect::<Vec<_>>())), [max, max, 3]);
        assert_eq!(lengths(cut(&[&long[..max], b"\n"])), [max]);
    }

    #[test]
    fn the_tail_is_the_last_lines_with_something_in_them() {
        let (kept, mut lines) = (Kept::default(), Lines::new(LogStream::Stderr));
        for number in 0..20 {
            lines.push(format!("{number}\n\n").as_bytes(), &kept);
        }
        assert_eq!(lines.tail().collect::<Vec<_>>().join(" "), "10 11 12 13 14 15 16 17 18 19");
    }
}
