//! A fake disk: the real one, with faults at chosen points.
//!
//! It counts the calls that change something and fails, cuts or loses as it is
//! told; what it does not fault it passes on, so that files can be read and cut by
//! the test and opened again.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::{Disk, DiskFile, RealDisk};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No room: nothing more than this can be written to files from now on.
    FullAfter(u64),
    /// A call that changes something fails, counted from 0.
    FailCall(u64),
    /// Every fsync of a file fails.
    FailSync,
    /// Every fsync fails, and so does cutting what was written.
    FailSyncAndCut,
    /// Every fsync of a file takes as long as [`FakeDisk::hold`] is held.
    HoldSync,
}

/// The fake.
#[derive(Debug, Default)]
pub(crate) struct FakeDisk {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    fault: Mutex<Option<Fault>>,
    calls: AtomicU64,
    syncs: AtomicU64,
    held: Mutex<()>,
}

impl FakeDisk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(FakeDisk::default())
    }

    /// From now on, this goes wrong; nothing, if none.
    pub(crate) fn set(&self, fault: Option<Fault>) {
        self.shared.calls.store(0, Ordering::SeqCst);
        *self.shared.fault.lock() = fault;
    }

    /// Holds every fsync, with [`Fault::HoldSync`], until it is dropped.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.shared.held.lock()
    }

    /// Calls that changed something since the fault was set.
    pub(crate) fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// Times that a file was made durable.
    pub(crate) fn syncs(&self) -> u64 {
        self.shared.syncs.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match *self.fault.lock() {
            Some(Fault::FailCall(failing)) if call == failing => {
                Err(io::Error::other("the fake disk fails this call"))
            }
            _ => Ok(()),
        }
    }

    fn file(self: &Arc<Self>, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FakeFile { shared: Arc::clone(self), file })
    }
}

impl Disk for FakeDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.shared.call()?;
        RealDisk.create(path).map(|file| self.shared.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.shared.call()?;
        RealDisk.open(path).map(|file| self.shared.file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.call()?;
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.shared.call()?;
        RealDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.shared.call()?;
        RealDisk.sync_folder(folder)
    }
}

#[derive(Debug)]
struct FakeFile {
    shared: Arc<Shared>,
    file: Box<dyn DiskFile>,
}

impl DiskFile for FakeFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.shared.call()?;
        if let Some(Fault::FullAfter(left)) = &mut *self.shared.fault.lock() {
            let fits = bytes.len().min(*left as usize);
            *left -= fits as u64;
            self.file.write_at(&bytes[..fits], offset)?;
            return match fits == bytes.len() {
                true => Ok(()),
                false => Err(io::Error::from(io::ErrorKind::StorageFull)),
            };
        }
        self.file.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.shared.call()?;
        self.shared.syncs.fetch_add(1, Ordering::SeqCst);
        let fault = *self.shared.fault.lock();
        match fault {
            Some(Fault::FailSync | Fault::FailSyncAndCut) => {
                Err(io::Error::other("the fake disk fails every fsync"))
            }
            Some(Fault::HoldSync) => {
                let _held = self.shared.held.lock();
                self.file.sync()
            }
            _ => self.file.sync(),
        }
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.shared.call()?;
        match *self.shared.fault.lock() {
            Some(Fault::FailSyncAndCut) => Err(io::Error::other("the fake disk cuts nothing")),
            _ => self.file.set_len(bytes),
        }
    }
}
