//! [`EmbeddedStore`]: the [`Store`] on one redb file.
//!
//! Reads go to redb's last commit (about a microsecond, from its page cache, so
//! that ten thousand idle functions cost no second copy in memory). Writes go to
//! one thread that commits many at a time: see `writer.rs`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gapless_store::{Expect, Record, Store, StoreError, StoreRevision};
use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition};

use crate::folder::{self, FolderLock};
use crate::writer::{Change, Writer};

/// The file's name in the data folder.
const STATE_FILE: &str = "state.redb";
/// Pages kept in memory. State is read at the start and written seldom.
const CACHE_BYTES: usize = 8 << 20;
/// The layout of the tables; a file with another one is refused.
const FORMAT: u64 = 1;

/// Key to (the write that gave it its value, value).
pub(crate) const RECORDS: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("records");
/// Numbers about the store itself.
pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// In [`META`]: the last write's revision.
pub(crate) const META_REVISION: &str = "revision";
const META_FORMAT: &str = "format";

/// A store in one folder, used by one process.
#[derive(Debug)]
pub struct EmbeddedStore {
    // Dropped in this order: the writer finishes, the file is closed, the folder is free.
    writer: Writer,
    database: Arc<Database>,
    revision: Arc<AtomicU64>,
    _folder: FolderLock,
}

impl EmbeddedStore {
    /// Opens the store in `data_dir`, making the folder if need be.
    ///
    /// Fails with [`StoreError::InUse`] if another process has it open, and with
    /// a sentence for people if the folder or file cannot be used.
    pub fn open(data_dir: &Path) -> Result<Arc<Self>, StoreError> {
        let folder = folder::hold(data_dir)?;
        let path = data_dir.join(STATE_FILE);
        let is_new = !path.exists();
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(&path)
            .map_err(|why| unopenable(&path, why))?;
        let revision = prepare(&database).map_err(|why| failed(&path, why))??;
        if is_new {
            // The file's name is durable only when the folder is.
            fs::File::open(data_dir)
                .and_then(|folder| folder.sync_all())
                .map_err(|why| folder::unusable("cannot write in", data_dir, &why))?;
        }
        let database = Arc::new(database);
        let revision = Arc::new(AtomicU64::new(revision));
        let writer = Writer::start(Arc::clone(&database), Arc::clone(&revision))
            .map_err(|why| folder::unusable("cannot start the writer of", data_dir, &why))?;
        Ok(Arc::new(EmbeddedStore { writer, database, revision, _folder: folder }))
    }

    fn read<T>(
        &self,
        what: impl Fn() -> String,
        read: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        read(&self.database)
            .map_err(|why| StoreError::Failed { what: what(), why: why.to_string() })
    }
}

impl Store for EmbeddedStore {
    fn get(&self, key: &str) -> Result<Option<Record>, StoreError> {
        self.read(
            || format!("cannot read {key}"),
            |database| {
                let records = database.begin_read()?.open_table(RECORDS)?;
                Ok(records.get(key)?.map(|found| record(key, found.value())))
            },
        )
    }

    fn list(&self, prefix: &str) -> Result<Vec<Record>, StoreError> {
        self.read(
            || format!("cannot list {prefix}"),
            |database| {
                let records = database.begin_read()?.open_table(RECORDS)?;
                let mut listed = Vec::new();
                for entry in records.range(prefix..)? {
                    let (key, value) = entry?;
                    if !key.value().starts_with(prefix) {
                        break;
                    }
                    listed.push(record(key.value(), value.value()));
                }
                Ok(listed)
            },
        )
    }

    fn put(&self, key: &str, value: &[u8], expect: Expect) -> Result<StoreRevision, StoreError> {
        self.writer.write(key, Change::Put(value.into()), expect)
    }

    fn delete(&self, key: &str, expect: Expect) -> Result<StoreRevision, StoreError> {
        self.writer.write(key, Change::Delete, expect)
    }

    fn revision(&self) -> StoreRevision {
        self.revision.load(Ordering::Acquire)
    }
}

fn record(key: &str, (revision, value): (u64, &[u8])) -> Record {
    Record { key: key.to_owned(), value: value.to_vec(), revision }
}

/// Makes the tables of a new file, checks the format of an old one, and returns
/// the last revision.
fn prepare(database: &Database) -> Result<Result<u64, StoreError>, redb::Error> {
    {
        let read = database.begin_read()?;
        match read.open_table(META) {
            Ok(meta) => {
                let format = meta.get(META_FORMAT)?.map_or(0, |found| found.value());
                let revision = meta.get(META_REVISION)?.map_or(0, |found| found.value());
                return Ok(if format == FORMAT {
                    Ok(revision)
                } else {
                    Err(StoreError::Failed {
                        what: format!("cannot open {STATE_FILE}"),
                        why: format!(
                            "it has format {format}, this version of gapless reads {FORMAT}; \
                             use the version that wrote it, or another folder with --data-dir"
                        ),
                    })
                });
            }
            Err(redb::TableError::TableDoesNotExist(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    let write = database.begin_write()?;
    {
        write.open_table(RECORDS)?;
        let mut meta = write.open_table(META)?;
        meta.insert(META_FORMAT, FORMAT)?;
        meta.insert(META_REVISION, 0)?;
    }
    write.commit()?;
    Ok(Ok(0))
}

fn failed(path: &Path, why: redb::Error) -> StoreError {
    StoreError::Failed { what: format!("cannot open {}", path.display()), why: why.to_string() }
}

fn unopenable(path: &Path, why: DatabaseError) -> StoreError {
    let why = match why {
        DatabaseError::DatabaseAlreadyOpen => "another process has it open".to_owned(),
        other => format!(
            "{other}; if the file is damaged, move it away to begin empty, or restore a copy of it"
        ),
    };
    StoreError::Failed { what: format!("cannot open {}", path.display()), why }
}
