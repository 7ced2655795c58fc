//! A watch of functions that times what it is told, and misses nothing unnoticed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::lines::{Lines, quoted};
use crate::load::{histogram, record};

type Times = Histogram<u64>;

/// The annotation that says which write it was, and when it was sent: `SERIAL-NANOSECONDS`.
pub(super) const MARK: &str = "bench.gapless.dev/sent";
/// How long what was written may take to be told.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// What a watch was told.
#[derive(Debug)]
struct Told {
    /// By number of the write.
    is_told: Vec<bool>,
    count: u32,
    times: Times,
    failed: Option<String>,
}

/// A task that times what a watch delivers. A later change of the same function, such
/// as its status, is not a write's delivery.
pub(super) struct Watching {
    task: JoinHandle<()>,
    told: Arc<Mutex<Told>>,
}

impl Watching {
    pub(super) async fn begin(api: SocketAddr, epoch: Instant) -> Result<Self> {
        let path = "/apis/gapless.dev/v1/functions?watch=1";
        let mut lines = Lines::open(api, path).await?;
        let (is_told, times) = (Vec::new(), histogram());
        let told = Arc::new(Mutex::new(Told { is_told, count: 0, times, failed: None }));
        let noting = Arc::clone(&told);
        let task = tokio::spawn(async move {
            let marker = format!("\"{MARK}\":\"");
            loop {
                match lines.next().await {
                    Ok(line) => noting.lock().note(quoted(line, &marker), epoch),
                    Err(error) => {
                        noting.lock().failed = Some(format!("{error:#}"));
                        return;
                    }
                }
            }
        });
        Ok(Watching { task, told })
    }

    /// Ends it.
    pub(super) fn end(&self) {
        self.task.abort();
    }

    /// The times of what was delivered since the last call, once all `written` are.
    pub(super) async fn catch_up(&self, written: u32) -> Result<Times> {
        let until = Instant::now() + TOLD_WITHIN;
        loop {
            let count = {
                let told = &mut *self.told.lock();
                if let Some(why) = &told.failed {
                    bail!("the watch failed: {why}");
                }
                if told.count == written {
                    return Ok(std::mem::replace(&mut told.times, histogram()));
                }
                told.count
            };
            ensure!(Instant::now() < until, "the watch told {count} of {written} writes");
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }
}

impl Told {
    fn note(&mut self, mark: Option<&str>, epoch: Instant) {
        let read = |mark: &str| {
            let (serial, sent) = mark.split_once('-')?;
            Some((serial.parse::<usize>().ok()?, Duration::from_nanos(sent.parse().ok()?)))
        };
        let Some((serial, sent)) = mark.and_then(read) else { return };
        if self.is_told.len() <= serial {
            self.is_told.resize(serial + 1, false);
        }
        if !std::mem::replace(&mut self.is_told[serial], true) {
            self.count += 1;
            record(&mut self.times, epoch.elapsed().saturating_sub(sent));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_delivered_once() {
        let epoch = Instant::now();
        let times = histogram();
        let mut told = Told { is_told: Vec::new(), count: 0, times, failed: None };
        for mark in ["3-1000", "0-2000", "3-1000"] {
            told.note(Some(mark), epoch);
        }
        told.note(None, epoch);
        told.note(Some("x-y"), epoch);
        assert_eq!((told.count, told.times.len()), (2, 2));
        assert_eq!(told.is_told, [true, false, false, true]);
    }
}
