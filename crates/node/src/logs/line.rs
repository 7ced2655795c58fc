//! One line, as it is kept and as it is shown.

use gapless_api::LogLine;
use gapless_sandbox::LogStream;
use gapless_types::InstanceId;

/// A line in memory. The time is made readable only for a reader.
#[derive(Debug)]
pub(super) struct Line {
    at: jiff::Timestamp,
    instance: InstanceId,
    stream: LogStream,
    text: Box<str>,
}

impl Line {
    pub(super) fn new(instance: InstanceId, stream: LogStream, text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned().into_boxed_str();
        Line { at: jiff::Timestamp::now(), instance, stream, text }
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Line>() + self.text.len()
    }

    pub(super) fn to_api(&self) -> LogLine {
        LogLine {
            time: readable(self.at),
            instance: self.instance.to_string(),
            stream: stream_name(self.stream).to_owned(),
            line: self.text.to_string(),
        }
    }
}

/// What a follower reads in place of lines it was too slow for.
pub(super) fn missed(lines: u64) -> LogLine {
    LogLine {
        time: readable(jiff::Timestamp::now()),
        instance: String::new(),
        stream: stream_name(LogStream::Platform).to_owned(),
        line: format!("{lines} lines were missed: they came faster than they were read"),
    }
}

/// RFC 3339 with microseconds, always of the same length, so that text order is time order.
pub(super) fn readable(at: jiff::Timestamp) -> String {
    format!("{at:.6}")
}

fn stream_name(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        LogStream::Platform => "platform",
    }
}
